"""What TorchServe 0.12 fixes and two modules need: limits, defaults, statuses and names, each once, with its source.

`org.pytorch.serve` is the frontend (Java), `ts` the worker (Python), `model_archiver` the tool that writes archives. A
fact that one module alone needs is in that module.
"""

from __future__ import annotations

#: torchserve and torch-model-archiver, whose releases go together (ts/version.txt, model_archiver/version.txt).
VERSION = "0.12.0"

# --- the frontend's limits and defaults: org.pytorch.serve.util.ConfigManager -----------------------------------------

#: Bytes of a request's body, and of a row of a worker's answer.
MAX_REQUEST_SIZE = MAX_RESPONSE_SIZE = 6_553_500
#: Seconds of a call, and of a load.
RESPONSE_TIMEOUT = STARTUP_TIMEOUT = 120
#: Seconds from one look at the machine's metrics to the next.
METRIC_INTERVAL = 60
#: Jobs that wait for a model's workers.
JOB_QUEUE_SIZE = 100
#: Bytes of the request line, and of the lines of all the headers together, of which each is one too many
#: (io.netty.handler.codec.http.HttpServerCodec; a carriage return counts while its line is read).
LINE_LIMIT, HEAD_LIMIT = 4096, 8192

#: The port of inference requests, and the number of a server's first worker.
PORT, FIRST_WORKER = 8080, 9000
#: Seconds until a worker's process listens (org.pytorch.serve.wlm.WorkerLifeCycle).
WORKER_START = 120

# --- model-config.yaml: org.pytorch.serve.archive.model.ModelConfig ---------------------------------------------------

#: The keys that the frontend takes as whole numbers, and the least that each takes.
LEAST = {
    "minWorkers": 1, "maxWorkers": 0, "batchSize": 1, "maxBatchDelay": 0, "responseTimeout": 1, "startupTimeout": 1,
    "parallelLevel": 0, "maxRetryTimeoutInSec": 0, "clientTimeoutInMills": 0, "jobQueueSize": 0,
    "sequenceMaxIdleMSec": 0, "sequenceTimeoutMSec": 0, "maxSequenceJobQueueSize": 1, "maxNumSequence": 1,
}  # fmt: skip
#: What holds if one is left out; 0 for the others. jobQueueSize: 0 leaves it to job_queue_size of config.properties.
DEFAULTS = {
    "batchSize": 1, "maxBatchDelay": 100, "responseTimeout": RESPONSE_TIMEOUT, "startupTimeout": STARTUP_TIMEOUT,
    "maxRetryTimeoutInSec": 300, "maxNumSequence": 1, "maxSequenceJobQueueSize": 1,
}  # fmt: skip
#: The keys that it takes as true or false; each is false if it is left out.
SWITCHES = ("useJobTicket", "useVenv", "asyncCommunication", "continuousBatching", "sequenceBatching")

#: Seconds before a dead worker is started again, by how often it died in a row (org.pytorch.serve.wlm.WorkerThread).
BACK_OFF = (1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597)

# --- statuses and errors ----------------------------------------------------------------------------------------------

#: What a worker answers a batch with (ts.service.Service.predict).
SUCCEEDED = "Prediction success"
FAILED = "Prediction failed"
OUT_OF_RESOURCES = "Out of resources"
NO_LIST = "Invalid model predict output"
WRONG_LENGTH = "number of batch response mismatched"
#: Where a row of the answer cannot be written (ts.protocol.otf_message_handler.create_predict_response).
NOT_JSON = "Unsupported model output data type."
#: What the frontend answers for a worker that ended, and for one that does not load (org.pytorch.serve.wlm).
DIED = "Worker died."
NOT_STARTED = "Failed to start workers"

#: "type" in the body of an error: a failed call's, and the frontend's own (org.pytorch.serve.http).
INTERNAL = "InternalServerException"
BAD_REQUEST = "BadRequestException"
MODEL_NOT_FOUND = "ModelNotFoundException"
VERSION_NOT_FOUND = "ModelVersionNotFoundException"
METHOD_NOT_ALLOWED = "MethodNotAllowedException"
RESOURCE_NOT_FOUND = "ResourceNotFoundException"
UNAVAILABLE = "ServiceUnavailableException"
FORM_ERROR = "ErrorDataDecoderException"
INVALID_KEY = "InvalidKeyException"
#: Messages of BAD_REQUEST.
INVALID_MESSAGE, NO_MODEL_NAME = "Invalid HTTP message.", "Parameter model_name is required."

#: Where the exception whose code and message reach the client is defined, and its name.
PREDICTION_EXCEPTION = "ts.utils.util", "PredictionException"

# --- headers ----------------------------------------------------------------------------------------------------------

#: The request's id, on every answer of a worker.
REQUEST_ID = "x-request-id"
#: Names of headers, in lower case, that the frontend writes instead of a handler's: those of any answer, and of
#: one that is streamed (org.pytorch.serve.util.NettyUtils, org.pytorch.serve.job.RestJob).
OWN_HEADERS = frozenset({REQUEST_ID, "pragma", "cache-control", "expires", "content-length", "connection"})
STREAM_OWN_HEADERS = OWN_HEADERS | {"transfer-encoding"}
#: What the frontend tells a handler of a request: the rest of its path, and "True" for an explanation or a description.
URL_PATH, EXPLAIN, DESCRIBE = "url_path", "explain", "describe"
#: "true" on an intermediate answer (ts.handler_utils.utils.send_intermediate_predict_response).
STREAM_NEXT = "ts_stream_next"
#: What a request belongs to if its model batches by sequence, and "true" on the first of a sequence.
SEQUENCE_ID, SEQUENCE_START = "ts_request_sequence_id", "ts_request_sequence_start"

# --- what a handler is given ------------------------------------------------------------------------------------------

#: What ts.context.Context has for handlers, and the keys of its system_properties.
CONTEXT = (
    "system_properties", "manifest", "model_name", "model_yaml_config", "metrics", "request_ids",
    "request_processor", "get_request_id", "get_request_header", "get_all_request_header", "cache", "stopping_criteria",
    "header_key_sequence_id", "header_key_sequence_start", "header_key_sequence_end", "get_sequence_id",
    "set_response_content_type", "set_response_header", "set_response_status", "set_all_response_status",
    "get_response_content_type", "get_response_headers", "get_response_status",
)  # fmt: skip
SYSTEM_PROPERTIES = ("model_dir", "gpu_id", "batch_size", "server_name", "server_version", "limit_max_image_pixels")

# --- other names ------------------------------------------------------------------------------------------------------

#: The variable that holds a worker's decode_input_request: unset or exactly "true" decodes
#: (ts.protocol.otf_message_handler).
DECODE_INPUT = "TS_DECODE_INPUT_REQUEST"
#: The variables of a server and of its workers that name the folder of their logs, and all that TorchServe sets for a
#: worker itself, whatever the server's environment has.
LOG_VARIABLES = ("LOG_LOCATION", "METRICS_LOCATION")
WORKER_VARIABLES = ("PYTHONPATH", *LOG_VARIABLES)
#: How a worker begins to log a call (ts.protocol.otf_message_handler).
CALL_BEGINS = "Backend received inference at: "
#: How a worker logs a metric (ts.metrics.caching_metric); of a model's metrics, those that ts/configs/metrics.yaml
#: declares reach the server's pages.
METRIC = "[METRICS]"
DECLARED_METRICS = ("HandlerTime", "PredictionTime")

#: How the line ends that BaseHandler writes at each load without labels (ts.utils.util.load_label_mapping).
NO_NAMES = "is missing. Inference output will not include class name."

#: Of an archive: its own folder, the manifest there, the names of the classes (ts.utils.util.load_label_mapping).
ARCHIVE_FOLDER = "MAR-INF"
MANIFEST = f"{ARCHIVE_FOLDER}/MANIFEST.json"
LABELS = "index_to_name.json"
#: The version of a model whose manifest names none (org.pytorch.serve.archive.model.Manifest).
MODEL_VERSION = "1.0"
