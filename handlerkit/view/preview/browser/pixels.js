/* Pictures and maps, unpacked once. */

import { bytesOf } from "./elements.js";

const NEAR = 2; // canvas pixels a pixel of the picture has before it is shown as a square

/** A picture at its full size, at the size it is shown at, and in halves between, for zooming. */
export class Picture {
  static async open(bytes) {
    return new Picture(await createImageBitmap(new Blob([bytes])));
  }

  constructor(full) {
    this.full = full;
    this.levels = [full]; // the largest first
    this.fitted = null;
    this.point = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  }

  /** Make the bitmap for `scale` canvas pixels a pixel; resolves when it is there. */
  async prepare(scale) {
    const { width, height } = this.full;
    const wide = Math.max(1, Math.round(width * scale));
    if (wide >= width || this.fitted?.width === wide) return;
    this.fitted = await resized(this.full, wide, Math.max(1, Math.round(height * scale)));
    while (this.levels.at(-1).width / 2 > 1.5 * wide) {
      const above = this.levels.at(-1);
      this.levels.push(await resized(above, above.width >> 1, above.height >> 1));
    }
  }

  draw(ctx, view) {
    const { canvas } = ctx;
    const { width, height } = this.full;
    if (this.fitted && Math.abs(this.fitted.width - width * view.scale) < 1) {
      ctx.drawImage(this.fitted, Math.round(view.left), Math.round(view.top));
      return;
    }
    const enough = (level) => level.width >= width * view.scale;
    const source = [this.fitted, ...this.levels.toReversed()].find((level) => level && enough(level)) ?? this.full;
    const share = source.width / width;
    const x = Math.max(0, Math.floor(-view.left / view.scale));
    const y = Math.max(0, Math.floor(-view.top / view.scale));
    const right = Math.min(width, Math.ceil((canvas.width - view.left) / view.scale));
    const low = Math.min(height, Math.ceil((canvas.height - view.top) / view.scale));
    if (right <= x || low <= y) return;
    ctx.imageSmoothingEnabled = view.scale < NEAR;
    ctx.drawImage(
      source, x * share, y * share, (right - x) * share, (low - y) * share,
      view.left + x * view.scale, view.top + y * view.scale, (right - x) * view.scale, (low - y) * view.scale,
    );
    ctx.imageSmoothingEnabled = true;
  }

  /** [red, green, blue, alpha] of a pixel. */
  at(x, y) {
    this.point.clearRect(0, 0, 1, 1);
    this.point.drawImage(this.full, x, y, 1, 1, 0, 0, 1, 1);
    return this.point.getImageData(0, 0, 1, 1).data;
  }
}

function resized(bitmap, width, height) {
  return createImageBitmap(bitmap, {
    resizeWidth: Math.max(1, width), resizeHeight: Math.max(1, height), resizeQuality: "medium",
  });
}

/** A map's indexes, unpacked: {width, height, data}. Where there are `ends`, each value lasts until its end. */
async function indexesOf({ size: [width, height], data, ends }) {
  if (ends) {
    const indexes = new Uint8Array(width * height);
    const places = new Uint32Array(bytesOf(ends).slice().buffer); // a copy begins at a multiple of four
    bytesOf(data).forEach((value, i) => indexes.fill(value, i ? places[i - 1] : 0, places[i]));
    return { width, height, data: indexes };
  }
  const inflated = new Blob([bytesOf(data)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return { width, height, data: new Uint8Array(await new Response(inflated).arrayBuffer()) };
}

/** A map on the picture: an index for each of its pixels, and what each index looks like. */
export class Layer {
  static async open(packed) {
    const map = await indexesOf(packed.map);
    const values = packed.values ? await indexesOf(packed.values) : null;
    return new Layer(packed, map, values);
  }

  constructor(packed, map, values) {
    Object.assign(this, { packed, map, values, place: "", seen: null, bitmap: null });
    this.lut = bytesOf(packed.lut);
  }

  draw(ctx, view, opacity, seen) {
    const { canvas } = ctx;
    const [x1, y1, x2, y2] = this.packed.region;
    const left = view.left + x1 * view.scale;
    const top = view.top + y1 * view.scale;
    const across = ((x2 - x1) * view.scale) / this.map.width; // canvas pixels a pixel of the map
    const down = ((y2 - y1) * view.scale) / this.map.height;
    ctx.globalAlpha = opacity;
    if (this.packed.smooth && across > 1) {
      this.color(seen, this.map.width, this.map.height, 0, 0, 1, 1);
      ctx.drawImage(this.bitmap, left, top, across * this.map.width, down * this.map.height);
    } else {
      this.color(seen, canvas.width, canvas.height, left, top, across, down);
      ctx.drawImage(this.bitmap, 0, 0);
    }
    ctx.globalAlpha = 1;
  }

  /** The map's colors at a canvas's pixels; made again only where its place or what is seen of it has changed. */
  color(seen, width, height, left, top, across, down) {
    const place = [width, height, left, top, across, down].join();
    const mine = this.packed.things ? seen.boxes : seen.classes; // a threshold concerns masks, not maps
    if (place === this.place && mine.join() === this.seen) return;
    Object.assign(this, { place, seen: mine.join() });
    const lut = this.colors(seen);
    const columns = new Int32Array(width);
    for (let x = 0; x < width; x++) columns[x] = Math.floor((x + 0.5 - left) / across);
    const from = Math.max(0, columns.findIndex((column) => column >= 0));
    const beyond = columns.findIndex((column) => column >= this.map.width);
    const until = beyond < 0 ? width : beyond;
    const pixels = new ImageData(width, height);
    const out = new Uint32Array(pixels.data.buffer);
    for (let y = 0; y < height; y++) {
      const row = Math.floor((y + 0.5 - top) / down);
      if (row < 0 || row >= this.map.height) continue;
      const start = row * this.map.width;
      for (let x = from, to = y * width + from; x < until; x++) out[to++] = lut[this.map.data[start + columns[x]]];
    }
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    this.bitmap?.close();
    this.bitmap = canvas.transferToImageBitmap();
  }

  /** Each index's color, nothing for those that are switched off. */
  colors(seen) {
    const lut = new Uint32Array(256);
    new Uint8Array(lut.buffer).set(this.lut);
    const { classes, things } = this.packed;
    classes?.forEach((place, i) => place >= 0 && seen.classes[place] ? 0 : (lut[i] = 0));
    things?.forEach((thing, i) => thing >= 0 && seen.boxes[thing] ? 0 : (lut[i] = 0));
    return lut;
  }

  /** The index at a point of the picture, and the value beside it; undefined outside. */
  at(x, y) {
    const [x1, y1, x2, y2] = this.packed.region;
    if (x < x1 || y < y1 || x >= x2 || y >= y2) return undefined;
    const read = ({ width, height, data }) =>
      data[Math.floor(((y - y1) / (y2 - y1)) * height) * width + Math.floor(((x - x1) / (x2 - x1)) * width)];
    return { index: read(this.map), value: this.values ? read(this.values) / 255 : undefined };
  }
}
