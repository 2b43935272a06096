"""Small networks of transformers with random weights, by the name of their kind."""

from __future__ import annotations

from typing import Any

import torch
import transformers

LABELS = {str(index): f"thing {index}" for index in range(5)}
ENCODER = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
           "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}  # fmt: skip


def resnet() -> Any:
    return transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", out_features=["stage2"]
    )


def network(name: str) -> Any:
    """The network, which tells its labels from 0 to 4."""
    torch.manual_seed(0)
    labels = {"id2label": {int(index): label for index, label in LABELS.items()}}
    made: dict[str, Any] = {
        "detr": lambda: transformers.DetrForObjectDetection(
            transformers.DetrConfig(
                use_timm_backbone=False, backbone=None, use_pretrained_backbone=False, backbone_config=resnet(),
                num_queries=20, **ENCODER, **labels,
            )
        ),
        "yolos": lambda: transformers.YolosForObjectDetection(
            transformers.YolosConfig(
                hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=[96, 96],
                num_detection_tokens=20, **labels,
            )
        ),
        "rt_detr": lambda: transformers.RTDetrForObjectDetection(
            transformers.RTDetrConfig(
                backbone_config=transformers.RTDetrResNetConfig(
                    embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
                    out_features=["stage2", "stage3", "stage4"],
                ),
                encoder_in_channels=[8, 16, 16], encoder_hidden_dim=32, encoder_ffn_dim=32, d_model=32,
                decoder_in_channels=[32, 32, 32], decoder_ffn_dim=32, num_queries=20, decoder_layers=1,
                encoder_attention_heads=2, decoder_attention_heads=2, num_denoising=0, **labels,
            )
        ),
        "segformer": lambda: transformers.SegformerForSemanticSegmentation(
            transformers.SegformerConfig(
                hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1],
                decoder_hidden_size=16, **labels,
            )
        ),
        "mask2former": lambda: transformers.Mask2FormerForUniversalSegmentation(
            transformers.Mask2FormerConfig(
                backbone_config=transformers.SwinConfig(
                    embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4,
                    out_features=["stage1", "stage2", "stage3", "stage4"],
                ),
                feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=32, dim_feedforward=32,
                encoder_layers=1, decoder_layers=2, num_attention_heads=2, num_queries=20, **labels,
            )
        ),
        "maskformer": lambda: transformers.MaskFormerForInstanceSegmentation(
            transformers.MaskFormerConfig(
                backbone_config=transformers.SwinConfig(
                    embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4,
                    out_features=["stage1", "stage2", "stage3", "stage4"],
                ),
                decoder_config=transformers.DetrConfig(
                    use_timm_backbone=False, backbone=None, use_pretrained_backbone=False, backbone_config=resnet(),
                    num_queries=20, **ENCODER,
                ),
                fpn_feature_size=32, mask_feature_size=32, **labels,
            )
        ),
        "vit": lambda: transformers.ViTForImageClassification(
            transformers.ViTConfig(
                hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=64,
                patch_size=16, **labels,
            )
        ),
    }  # fmt: skip
    return made[name]().eval()
