/* The live display of answers: handlerkit.view.preview_message says what is in one.
 *
 * Everything that is played with (threshold, opacity, switches, hover, zoom, slider) happens here, without the kernel.
 * The same module serves a notebook, through anywidget, and a saved page, through showPage at its end.
 *
 *   Picture, Layer   pixels, unpacked once
 *   Shown          one answer: its picture, its layers, its boxes
 *   Stage          the canvas: what is drawn, where, and what lies under the pointer
 *   Panel          the controls and the wire beside it
 *   Preview        all of them for one host: the kernel, or a page that holds its answers
 */

const LABELED = 100; // boxes that get a label; more would hide the picture
const SHEET = 600; // boxes whose labels are made ready
const NEAR = 2; // canvas pixels a pixel of the picture has before it is shown as a square
const KEYS = "+ and - zoom, 0 shows all, arrows move, . and , step through the boxes";
const STEP = 1.3; // of a zoom by key or button
const PIECE = 4 << 20; // bytes of an upload that go over at a time: servers refuse messages above 10 MB

// --- small things ---------------------------------------------------------------------------------------------------

/** An element: h("button", { class: "hk-x", onclick: f }, "text"). */
function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
/** A file's name without what would turn the text around it, as handlerkit.formatting.visible. */
const visible = (text) =>
  text.replace(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
const rgb = (color) => `rgb(${color.join(",")})`;

/** Black or white, whichever contrasts more with that ground (WCAG 2.2, relative luminance). */
function textColor(ground) {
  const [red, green, blue] = ground.map((v) => (v <= 10 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}

/** Bytes as a comm message (DataView) or a saved page ({base64}) carries them. */
function bytesOf(value) {
  if (!value) return new Uint8Array();
  if (value.base64 !== undefined) return Uint8Array.from(atob(value.base64), (letter) => letter.charCodeAt(0));
  return value.buffer ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
}

// --- pixels ---------------------------------------------------------------------------------------------------------

/** A picture at its full size, at the size it is shown at, and in halves between, for zooming. */
class Picture {
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

/** The indexes in a PNG whose color i is (i, i, i): {width, height, data}. */
async function indexesOf(bytes) {
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const rows = Math.max(1, Math.floor(4e6 / width)); // unpacked in strips, which need less memory than the whole
  const ctx = new OffscreenCanvas(width, Math.min(rows, height)).getContext("2d", { willReadFrequently: true });
  const data = new Uint8Array(width * height);
  for (let top = 0; top < height; top += rows) {
    const strip = Math.min(rows, height - top);
    ctx.drawImage(bitmap, 0, top, width, strip, 0, 0, width, strip);
    const pixels = ctx.getImageData(0, 0, width, strip).data;
    for (let from = 0, to = top * width; from < pixels.length; from += 4) data[to++] = pixels[from];
  }
  bitmap.close();
  return { width, height, data };
}

/** A map on the picture: an index for each of its pixels, and what each index looks like. */
class Layer {
  static async open(packed) {
    const map = await indexesOf(bytesOf(packed.png));
    const values = packed.values ? await indexesOf(bytesOf(packed.values)) : null;
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

/** One answer, unpacked. */
class Shown {
  static async open(answer, bytes) {
    const picture = answer.picture ? await Picture.open(bytes) : null;
    return new Shown(answer, picture, await Promise.all(answer.layers.map(Layer.open)));
  }

  /** What an answer that is a picture was made of, or null where the request had no picture of that size. */
  static async sent(answer) {
    const bytes = bytesOf(answer.sent);
    if (!bytes.length) return null;
    const picture = await Picture.open(bytes);
    return new Shown({ ...answer, boxes: [], classes: [], layers: [], isSent: true }, picture, []);
  }

  constructor(answer, picture, layers) {
    Object.assign(this, { answer, picture, layers });
    [this.width, this.height] = answer.size;
    this.isPicture = this.width > 0;
    this.masked = layers.some((layer) => layer.packed.things); // masks stand for their boxes
    const size = ([x1, y1, x2, y2]) => Math.abs((x2 - x1) * (y2 - y1));
    const whole = answer.boxes.flatMap((box, i) => (box.slice(0, 4).includes(null) ? [] : [i]));
    this.bySize = whole.toSorted((i, j) => size(answer.boxes[j]) - size(answer.boxes[i]));
    this.byScore = whole.toSorted((i, j) => (answer.boxes[j][4] ?? 0) - (answer.boxes[i][4] ?? 0));
    this.scored = answer.boxes.some((box) => box[4] !== null);
  }

  /** Which classes and boxes are to be seen: {classes: [bool], boxes: [bool], count}. */
  seen({ threshold, switches }) {
    const classes = this.answer.classes.map(({ name, on }) => switches.get(name) ?? on);
    const boxes = this.answer.boxes.map((box) => classes[box[5]] && (box[4] === null || box[4] >= threshold));
    return { classes, boxes, count: boxes.filter(Boolean).length };
  }

  /** The labels of the best boxes on one sheet: to copy one from there costs a fraction of setting its letters. */
  labelSheet(ratio) {
    if (this.sheet?.ratio === ratio) return this.sheet;
    const high = Math.round(17 * ratio);
    const widest = Math.round(320 * ratio);
    const best = this.byScore.slice(0, SHEET);
    const canvas = new OffscreenCanvas(widest, Math.max(1, best.length * high));
    const pen = canvas.getContext("2d");
    Object.assign(pen, { font: `600 ${Math.round(12 * ratio)}px system-ui, sans-serif`, textBaseline: "middle" });
    const places = new Map();
    best.forEach((i, row) => {
      const { color } = this.answer.classes[this.answer.boxes[i][5]];
      const text = this.label(i);
      const wide = Math.min(widest, Math.ceil(pen.measureText(text).width + 8 * ratio));
      pen.fillStyle = rgb(color);
      pen.fillRect(0, row * high, wide, high);
      pen.fillStyle = textColor(color);
      pen.fillText(text, 4 * ratio, row * high + (high + ratio) / 2, widest - 8 * ratio);
      places.set(i, { from: row * high, wide });
    });
    this.sheet = { ratio, high, places, sheet: canvas.transferToImageBitmap() };
    return this.sheet;
  }

  label(i) {
    const [, , , , score, place] = this.answer.boxes[i];
    const { name, short = name } = this.answer.classes[place];
    const cut = short.length > 40 ? `${short.slice(0, 39)}…` : short;
    return score === null ? cut : `${cut} ${score.toFixed(2)}`;
  }
}

// --- the canvas -----------------------------------------------------------------------------------------------------

class Stage {
  constructor(settings, onRead) {
    Object.assign(this, { settings, onRead, after: null, before: null, sliderAt: null, marked: -1, asked: 0 });
    this.view = { scale: 1, left: 0, top: 0 };
    this.fits = true; // whether all of the picture is shown
    this.canvas = h("canvas", {
      class: "hk-canvas", tabindex: 0, role: "img", "aria-description": KEYS,
      onfocus: () => this.canvas.matches(":focus-visible") && this.onRead(KEYS),
    });
    this.ctx = this.canvas.getContext("2d");
    this.tip = h("div", { class: "hk-tip", hidden: true });
    this.handle = h("div", {
      class: "hk-handle", tabindex: 0, role: "slider", hidden: true,
      "aria-label": "before and after", "aria-valuemin": 0, "aria-valuemax": 100,
    });
    this.told = h("div", { class: "hk-told", tabindex: 0, hidden: true });
    this.names = ["before", "after"].map((name) => h("span", { class: `hk-tag hk-${name}`, hidden: true }, name));
    this.el = h("div", { class: "hk-stage" }, this.canvas, this.told, ...this.names, this.handle, this.tip);
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.el);
  }

  show(shown, before) {
    const alike = this.after?.width === shown.width && this.after?.height === shown.height;
    Object.assign(this, { after: shown, before, marked: -1 });
    this.tip.hidden = true;
    this.canvas.hidden = !shown.isPicture;
    this.told.hidden = shown.isPicture;
    this.told.innerHTML = shown.isPicture ? "" : shown.answer.causes + shown.answer.html;
    this.canvas.setAttribute("aria-label", `${shown.answer.sample}: ${shown.answer.said}`);
    this.canvas.classList.toggle("hk-board", shown.answer.view === "picture" || shown.answer.view === "pixels");
    this.names[0].textContent = before?.answer.isSent ? "sent" : "before";
    this.names[1].textContent = before?.answer.isSent ? "answered" : "after";
    if (!before) this.slider(null);
    if (!alike || this.fits) this.fit();
    else this.redraw();
  }

  // --- where

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.el;
    if (!clientWidth || !clientHeight) return;
    const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (this.canvas.width === width && this.canvas.height === height) return;
    Object.assign(this.canvas, { width, height });
    this.ratio = ratio;
    if (this.fits) this.fit();
    else this.redraw();
  }

  fit() {
    this.fits = true;
    if (!this.after?.isPicture) return;
    const { width, height } = this.canvas;
    const scale = Math.min(width / this.after.width, height / this.after.height, 64);
    const middle = (room, size) => Math.round((room - size * scale) / 2);
    this.view = { scale, left: middle(width, this.after.width), top: middle(height, this.after.height) };
    this.after.picture?.prepare(scale).then(() => this.redraw());
    this.before?.picture?.prepare(scale).then(() => this.redraw());
    this.redraw();
  }

  /** Zoom by a factor around a point of the canvas, its middle by default. */
  zoom(factor, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    if (!this.after?.isPicture) return;
    const { width, height } = this.canvas;
    const least = Math.min(width / this.after.width, height / this.after.height, 64);
    const scale = clamp(this.view.scale * factor, least, Math.max(32, least));
    if (scale <= least) return this.fit();
    const grown = scale / this.view.scale;
    this.fits = false;
    this.place(scale, x - (x - this.view.left) * grown, y - (y - this.view.top) * grown);
  }

  move(x, y) {
    if (!this.fits) this.place(this.view.scale, this.view.left + x, this.view.top + y);
  }

  /** Never past the picture's edges where it is larger than the canvas, in the middle where it is smaller. */
  place(scale, left, top) {
    const hold = (at, room, size) => (size < room ? (room - size) / 2 : clamp(at, room - size, 0));
    this.view = {
      scale,
      left: hold(left, this.canvas.width, this.after.width * scale),
      top: hold(top, this.canvas.height, this.after.height * scale),
    };
    this.redraw();
  }

  /** The point of the picture below a pointer. */
  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) * this.canvas.width) / box.width;
    const y = ((event.clientY - box.top) * this.canvas.height) / box.height;
    return { canvas: [x, y], x: (x - this.view.left) / this.view.scale, y: (y - this.view.top) / this.view.scale };
  }

  // --- what is drawn

  redraw() {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this.draw();
    });
  }

  draw() {
    const { ctx, canvas, before, after, sliderAt } = this;
    ctx.clearRect(0, 0, canvas.width, canvas.height);
    if (!after?.isPicture) return;
    if (sliderAt === null || !before) return this.paint(after);
    const edge = Math.round(canvas.width * sliderAt);
    this.within(0, edge, () => this.paint(before));
    this.within(edge, canvas.width - edge, () => this.paint(after));
  }

  within(left, width, paint) {
    this.ctx.save();
    this.ctx.beginPath();
    this.ctx.rect(left, 0, width, this.canvas.height);
    this.ctx.clip();
    paint();
    this.ctx.restore();
  }

  paint(shown) {
    const { ctx, view, settings } = this;
    const seen = shown.seen(settings);
    if (shown.picture) shown.picture.draw(ctx, view);
    else this.fill(shown, "#fff");
    if (shown.answer.gray) this.fill(shown, "#808080", "saturation"); // heat is read best on a gray picture
    for (const layer of shown.layers) layer.draw(ctx, view, settings.opacity, seen);
    this.boxes(shown, seen);
  }

  fill(shown, color, how = "source-over") {
    const { ctx, view } = this;
    Object.assign(ctx, { globalCompositeOperation: how, fillStyle: color });
    ctx.fillRect(view.left, view.top, shown.width * view.scale, shown.height * view.scale);
    ctx.globalCompositeOperation = "source-over";
  }

  boxes(shown, seen) {
    const { ctx, ratio = 1 } = this;
    const { boxes, classes } = shown.answer;
    ctx.lineJoin = "miter";
    for (const i of shown.bySize) {
      const marked = i === this.marked && shown === this.after;
      if (!seen.boxes[i] || (shown.masked && !marked)) continue;
      const [x, y, width, high] = this.corners(boxes[i]);
      ctx.lineWidth = (marked ? 4 : 2) * ratio;
      ctx.strokeStyle = rgb(classes[boxes[i][5]].color);
      if (boxes[i][6]) this.lines(boxes[i][6], ctx.lineWidth);
      else ctx.strokeRect(x + ratio, y + ratio, Math.max(1, width - 2 * ratio), Math.max(1, high - 2 * ratio));
    }
    if (this.settings.labels) this.labels(shown, seen);
  }

  /** Outlines and bones; a point alone is a dot. */
  lines(lines, width) {
    const { ctx } = this;
    const { scale, left, top } = this.view;
    ctx.fillStyle = ctx.strokeStyle;
    for (const line of lines) {
      const points = line.map(([x, y]) => [left + x * scale, top + y * scale]);
      ctx.beginPath();
      if (points.length === 1) ctx.arc(...points[0], 1.5 * width, 0, 2 * Math.PI);
      else points.forEach((point, at) => (at ? ctx.lineTo(...point) : ctx.moveTo(...point)));
      points.length === 1 ? ctx.fill() : ctx.stroke();
    }
  }

  corners([x1, y1, x2, y2]) {
    const { scale, left, top } = this.view;
    const x = Math.round(left + Math.min(x1, x2) * scale);
    const y = Math.round(top + Math.min(y1, y2) * scale);
    return [x, y, Math.round(Math.abs(x2 - x1) * scale), Math.round(Math.abs(y2 - y1) * scale)];
  }

  /** Each label above its box, else inside, below, or at its lower edge: where none of those before it lies. */
  labels(shown, seen) {
    const { ctx, canvas } = this;
    const { high, sheet, places } = shown.labelSheet(this.ratio ?? 1);
    const taken = [];
    let left = LABELED;
    for (const i of shown.byScore) {
      if (!seen.boxes[i]) continue;
      if (--left < 0) break;
      const [bx, by, bw, bh] = this.corners(shown.answer.boxes[i]);
      if (bx > canvas.width || by > canvas.height || bx + bw < 0 || by + bh < 0) continue;
      const { from, wide } = places.get(i) ?? { wide: 0 };
      const x = clamp(bx, 0, Math.max(0, canvas.width - wide));
      for (const at of wide ? [by - high, by, by + bh, by + bh - high] : []) {
        const y = clamp(at, 0, canvas.height - high);
        const free = taken.every(([a, b, c]) => x >= a + c || a >= x + wide || y >= b + high || b >= y + high);
        if (!free) continue;
        taken.push([x, y, wide]);
        ctx.drawImage(sheet, 0, from, wide, high, x, y, wide, high);
        break;
      }
    }
  }

  // --- what lies under the pointer

  /** The smallest box that is seen at a point; -1 for none. */
  boxAt(x, y) {
    const seen = this.after.seen(this.settings);
    return this.after.bySize.findLast((i) => {
      const [x1, y1, x2, y2] = this.after.answer.boxes[i];
      const inside = x >= Math.min(x1, x2) && x < Math.max(x1, x2) && y >= Math.min(y1, y2) && y < Math.max(y1, y2);
      return seen.boxes[i] && inside;
    }) ?? -1;
  }

  /** What is known of a pixel, a line each. */
  values(x, y) {
    const { answer, layers, picture } = this.after;
    const lines = [];
    for (const layer of layers) {
      const found = layer.at(x + 0.5, y + 0.5);
      if (!found) continue;
      if (layer.packed.smooth) lines.push(`value ${(found.index / 255).toFixed(2)}`);
      const of = answer.classes[layer.packed.classes?.[found.index]];
      const share = found.value === undefined ? "" : ` ${found.value.toFixed(2)}`;
      if (of) lines.push(of.name + share);
    }
    if (picture) {
      const [red, green, blue, alpha] = picture.at(x, y);
      lines.push(`rgb ${red} ${green} ${blue}${alpha < 255 ? `, alpha ${alpha}` : ""}`);
    }
    return lines;
  }

  hover(event) {
    if (!this.after?.isPicture) return;
    const point = this.under(event);
    const [x, y] = [Math.floor(point.x), Math.floor(point.y)];
    if (x < 0 || y < 0 || x >= this.after.width || y >= this.after.height) return this.leave();
    const box = this.boxAt(point.x, point.y);
    this.mark(box);
    const lines = [...(box < 0 ? [] : [this.after.label(box)]), ...this.values(x, y)];
    this.onRead(`(${x}, ${y})  ${lines.join("  ·  ")}`);
    this.tip.replaceChildren(...lines.map((line) => h("div", {}, line)));
    this.tip.hidden = false;
    const { offsetWidth, offsetHeight } = this.tip;
    const bounds = this.el.getBoundingClientRect();
    const [px, py] = [event.clientX - bounds.left, event.clientY - bounds.top];
    this.tip.style.left = `${px + 16 + offsetWidth > bounds.width ? Math.max(0, px - offsetWidth - 10) : px + 16}px`;
    this.tip.style.top = `${py + 16 + offsetHeight > bounds.height ? Math.max(0, py - offsetHeight - 10) : py + 16}px`;
  }

  leave() {
    this.tip.hidden = true;
    this.mark(-1);
    this.onRead("");
  }

  mark(box) {
    if (box === this.marked) return;
    this.marked = box;
    this.redraw();
  }

  /** The next box that is seen, from left to right as they are read; for those who do not use a pointer. */
  step(by) {
    const seen = this.after.seen(this.settings);
    const { boxes } = this.after.answer;
    const order = this.after.bySize.filter((i) => seen.boxes[i])
      .sort((i, j) => boxes[i][1] - boxes[j][1] || boxes[i][0] - boxes[j][0]);
    if (!order.length) return;
    const at = order.indexOf(this.marked);
    const next = order[at < 0 ? (by > 0 ? 0 : order.length - 1) : (at + by + order.length) % order.length];
    this.mark(next);
    const edges = boxes[next].slice(0, 4).map(Math.round);
    this.onRead(`${this.after.label(next)}  (${edges[0]}, ${edges[1]}) - (${edges[2]}, ${edges[3]})`);
  }

  slider(share) {
    this.sliderAt = share;
    for (const each of [this.handle, ...this.names]) each.hidden = share === null;
    this.handle.style.left = `${100 * share}%`;
    this.handle.setAttribute("aria-valuenow", Math.round(100 * share));
    this.redraw();
  }

  // --- pointer and keys

  listen() {
    const { canvas, handle } = this;
    let held = null;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!held) return this.hover(event);
      const ratio = canvas.width / canvas.getBoundingClientRect().width;
      this.move((event.clientX - held[0]) * ratio, (event.clientY - held[1]) * ratio);
      held = [event.clientX, event.clientY];
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (held = null));
    canvas.addEventListener("pointerleave", () => this.leave());
    canvas.addEventListener("dblclick", (event) => this.zoom(2, ...this.under(event).canvas));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 6 : 200)), ...this.under(event).canvas);
    }, { passive: false });
    const keys = {
      "+": () => this.zoom(STEP), "=": () => this.zoom(STEP), "-": () => this.zoom(1 / STEP), 0: () => this.fit(),
      ".": () => this.step(1), ",": () => this.step(-1), Escape: () => this.leave(),
      ArrowLeft: () => this.move(60, 0), ArrowRight: () => this.move(-60, 0),
      ArrowUp: () => this.move(0, 60), ArrowDown: () => this.move(0, -60),
    };
    canvas.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key.startsWith("Arrow") && this.fits) return; // the page scrolls
      event.preventDefault();
      keys[event.key]();
    });
    handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = this.el.getBoundingClientRect();
      this.slider(clamp((event.clientX - box.left) / box.width, 0, 1));
    });
    handle.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, Home: -1, End: 1 }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      this.slider(clamp(this.sliderAt + by, 0, 1));
    });
  }
}

// --- beside the canvas ----------------------------------------------------------------------------------------------

/** Two tabs: what can be changed of the display, and what went over the wire. */
class Panel {
  constructor(settings, onChange) {
    Object.assign(this, { settings, onChange });
    this.threshold = slider("Score from", 0, 1, 0.01, (value) => value.toFixed(2), (value) => this.set({ threshold: value }));
    this.opacity = slider("Mask opacity", 0, 1, 0.01, (value) => `${Math.round(100 * value)} %`, (value) => this.set({ opacity: value }));
    this.labels = h("input", { type: "checkbox", checked: true, onchange: () => this.set({ labels: this.labels.checked }) });
    this.slider = h("input", { type: "checkbox", disabled: true, onchange: () => this.set({ slider: this.slider.checked }) });
    this.count = h("span", { class: "hk-soft" });
    this.list = h("ul", { class: "hk-classes" });
    const every = (on) => () => {
      for (const { name } of this.shown.answer.classes) settings.switches.set(name, on);
      for (const box of this.list.querySelectorAll("input")) box.checked = on;
      this.set({});
    };
    this.many = h("span", {}, h("button", { type: "button", class: "hk-link", onclick: every(true) }, "all"),
      h("button", { type: "button", class: "hk-link", onclick: every(false) }, "none"));
    this.classes = h("fieldset", {}, h("legend", {}, "Classes ", this.many), this.list);
    this.labeled = check(this.labels, "Labels");
    this.times = h("div");
    this.notes = h("div", { class: "hk-notes" });
    this.log = h("div");
    const controls = h("div", {}, this.threshold.el, this.opacity.el,
      h("div", { class: "hk-checks" }, this.labeled, check(this.slider, "Before / after")),
      this.classes, this.notes, this.times, this.log);
    this.copy = h("button", { type: "button", class: "hk-button", onclick: () => this.copied() }, "Copy as curl");
    this.wire = h("div");
    this.tabs = tabs({ Look: controls, Wire: h("div", {}, this.copy, this.wire) });
    this.el = h("div", { class: "hk-side" }, this.tabs);
  }

  set(change) {
    Object.assign(this.settings, change);
    this.tell();
    this.onChange(change);
  }

  show(shown, before, fresh) {
    this.shown = shown;
    const { answer } = shown;
    this.threshold.el.hidden = !shown.scored;
    const top = Math.max(1, ...answer.boxes.map((box) => box[4] ?? 0));
    this.threshold.input.max = top;
    this.opacity.el.hidden = !shown.layers.length;
    if (fresh) this.opacity.set(answer.opacity);
    this.labeled.hidden = !answer.boxes.length;
    this.slider.disabled = !before;
    this.slider.parentElement.title = before ? "" : "compares with the last answer once the handler is loaded again";
    this.slider.nextSibling.textContent = before?.answer.isSent ? "Sent / answered" : "Before / after";
    if (!before) this.slider.checked = this.settings.slider = false;
    this.many.hidden = answer.classes.length < 3;
    this.classes.hidden = !answer.classes.length;
    this.list.replaceChildren(...answer.classes.map((one) => {
      const box = h("input", { type: "checkbox" });
      box.checked = this.settings.switches.get(one.name) ?? one.on;
      box.addEventListener("change", () => {
        this.settings.switches.set(one.name, box.checked);
        this.set({});
      });
      const swatch = h("span", { class: "hk-swatch", style: `background:${rgb(one.color)}` });
      return h("li", {}, h("label", {}, box, swatch, h("span", { class: "hk-name" }, one.name), h("b", {}, one.said)));
    }));
    // what the switches and counts say already is left out
    const notes = answer.boxes.length ? answer.facts.slice(1) : answer.facts;
    this.notes.replaceChildren(...notes.map((fact) => h("div", {}, fact)));
    this.notes.insertAdjacentHTML("beforeend", answer.causes + answer.html);
    this.notes.hidden = !shown.isPicture; // else they stand in the stage
    this.times.innerHTML = answer.stages;
    this.log.innerHTML = answer.log;
    const line = (text) => h("div", { class: "hk-asked" }, text);
    const part = (name, first, html) => {
      const body = h("div");
      body.innerHTML = html;
      return h("section", { "aria-label": name }, h("h4", {}, name), line(first), body);
    };
    this.wire.replaceChildren(
      part("Request", answer.asked, answer.request), part("Response", answer.answered, answer.response));
    this.tell();
  }

  tell() {
    const { count } = this.shown.seen(this.settings);
    const all = this.shown.answer.boxes.length;
    this.count.textContent = all ? `${count} of ${all} shown` : "";
  }

  async copied() {
    const text = this.shown.answer.curl;
    try {
      await navigator.clipboard.writeText(text);
    } catch { // no permission, or no secure context
      const area = h("textarea", { class: "hk-hidden" });
      area.value = text;
      this.el.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    this.copy.textContent = "Copied";
    setTimeout(() => (this.copy.textContent = "Copy as curl"), 1500);
  }
}

function slider(name, min, max, step, written, onInput) {
  const input = h("input", { type: "range", min, max, step, "aria-label": name });
  const value = h("output", {});
  const set = (number) => {
    input.value = number;
    value.textContent = written(+input.value);
    onInput(+input.value);
  };
  input.addEventListener("input", () => set(+input.value));
  return { el: h("label", { class: "hk-range" }, h("span", {}, name), value, input), input, set, write: (number) => {
    input.value = number;
    value.textContent = written(number);
  } };
}

function check(input, name) {
  return h("label", { class: "hk-check" }, input, name);
}

function tabs(pages) {
  const names = Object.keys(pages);
  const buttons = names.map((name) => h("button", { type: "button", role: "tab", class: "hk-tab" }, name));
  const panes = names.map((name) => h("div", { role: "tabpanel", "aria-label": name, class: "hk-pane" }, pages[name]));
  const choose = (at) => {
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", i === at);
      button.tabIndex = i === at ? 0 : -1;
      panes[i].hidden = i !== at;
    });
  };
  buttons.forEach((button, i) => {
    button.addEventListener("click", () => choose(i));
    button.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      const next = (i + by + names.length) % names.length;
      choose(next);
      buttons[next].focus();
    });
  });
  choose(0);
  return h("div", { class: "hk-tabs" }, h("div", { role: "tablist", class: "hk-tablist" }, ...buttons), ...panes);
}

// --- all of it ------------------------------------------------------------------------------------------------------

class Preview {
  constructor(host) {
    this.host = host;
    this.settings = { threshold: 0, opacity: 0.5, labels: true, slider: false, switches: new Map() };
    this.stage = new Stage(this.settings, (text) => (this.read.textContent = text));
    this.panel = new Panel(this.settings, (change) => this.changed(change));
    this.choice = h("select", { "aria-label": "sample", onchange: () => this.ask(this.choice.value) });
    this.file = h("input", { type: "file", class: "hk-hidden", tabindex: -1, onchange: () => this.upload(this.file.files) });
    const upload = h("button", { type: "button", class: "hk-button", onclick: () => this.file.click() }, "Upload…");
    this.status = h("div", { class: "hk-status" });
    this.said = h("div", { class: "hk-said", role: "status" });
    this.read = h("div", { class: "hk-read", "aria-live": "polite" });
    const button = (text, name, act) =>
      h("button", { type: "button", class: "hk-button", "aria-label": name, title: name, onclick: act }, text);
    this.zooms = h("div", { class: "hk-zooms" }, button("−", "zoom out", () => this.stage.zoom(1 / STEP)),
      button("Fit", "show all of it", () => this.stage.fit()), button("+", "zoom in", () => this.stage.zoom(STEP)));
    this.el = h("div", { class: "hk-view hk-preview" },
      h("div", { class: "hk-head" }, this.choice, ...(host.upload ? [upload, this.file] : []), this.status),
      h("div", { class: "hk-body" },
        h("div", { class: "hk-main" }, this.stage.el,
          h("div", { class: "hk-foot" }, this.read, this.panel.count, this.zooms)),
        this.panel.el));
    this.stage.el.append(this.said);
    // JupyterLab's shortcuts (arrow keys move to another cell) spare an element only if it has this itself
    this.el.addEventListener("focusin", ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true"));
    this.panel.threshold.write(0);
    this.panel.opacity.write(0.5);
    if (host.upload) this.droppable();
    // a view that is scrolled out of a notebook is taken off its page, and unpacks nothing until it is back
    new ResizeObserver(() => this.update()).observe(this.el);
    host.listen(() => this.update(), () => this.failed());
    this.update();
  }

  /** Show what the host has, if it is not shown yet. */
  async update() {
    const { answer, picture, before: held } = this.host.current();
    this.samples(this.host.samples(), answer?.sample);
    if (!answer?.number) return this.failed();
    if (this.number === answer.number || !this.el.isConnected) return;
    this.number = answer.number;
    const same = this.pictured?.answer.picture === answer.picture && this.pictured;
    const shown = await this.opened(answer, picture, same);
    const last = held ? await this.opened(held, picture, held.picture === answer.picture && shown) : this.pictured;
    if (this.number !== answer.number) return; // another came in the meantime
    const sized = last?.width === shown.width && last?.height === shown.height;
    const news = !answer.sent || last?.answer.picture !== answer.picture; // a picture that is not the last one again
    const alike = last?.answer.sample === answer.sample && sized && news;
    const before = alike && shown.isPicture ? last : await Shown.sent(answer);
    if (this.number !== answer.number) return;
    const fresh = this.shown?.answer.view !== answer.view;
    this.shown = shown;
    if (shown.isPicture) this.pictured = shown;
    this.el.style.setProperty("--hk-shape", this.el.style.getPropertyValue("--hk-shape") || shape(shown));
    this.el.classList.remove("hk-busy");
    this.said.textContent = "";
    this.choice.value = answer.sample;
    this.status.innerHTML = answer.status;
    this.zooms.hidden = !shown.isPicture;
    this.stage.show(shown, before);
    this.panel.show(shown, before, fresh);
    this.el.dataset.answer = answer.number;
  }

  async opened(answer, picture, same) {
    const shown = await Shown.open(same ? { ...answer, picture: "" } : answer, bytesOf(picture));
    return same ? Object.assign(shown, { answer, picture: same.picture }) : shown;
  }

  samples(names, chosen) {
    if (names.join("\n") !== this.names) {
      this.names = names.join("\n");
      this.choice.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
      this.choice.disabled = !names.length;
    }
    if (chosen && !this.el.classList.contains("hk-busy")) this.choice.value = chosen;
  }

  changed(change) {
    if ("slider" in change) this.stage.slider(change.slider ? 0.5 : null);
    this.stage.redraw();
  }

  ask(name) {
    this.send(name, () => this.host.ask(name));
  }

  upload(files) {
    if (files.length) this.send(files[0].name, () => this.host.upload(files[0]));
    this.file.value = "";
  }

  async send(name, ask) {
    if (this.host.upload) this.busy(`sending ${visible(name)}`); // a saved page has its answers at hand
    try {
      await ask();
    } catch {
      this.failed("The kernel that answered here is gone: run the cell again.");
    }
  }

  busy(text) {
    this.el.classList.add("hk-busy");
    this.said.textContent = text;
  }

  failed(problem = this.host.problem()) {
    if (!problem && this.shown) return;
    this.el.classList.remove("hk-busy");
    this.said.textContent = problem || "Drop a picture here, or upload one.";
    if (this.shown) this.choice.value = this.shown.answer.sample;
  }

  droppable() {
    const { el } = this;
    const over = (on) => (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      event.stopPropagation();
      el.classList.toggle("hk-over", on);
    };
    el.addEventListener("dragover", over(true));
    el.addEventListener("dragleave", over(false));
    el.addEventListener("drop", (event) => {
      over(false)(event);
      this.upload(event.dataTransfer.files);
    });
  }
}

/** Width by height of the stage, from the first answer on: no other one moves what is below. */
function shape(shown) {
  return shown.isPicture ? clamp(shown.width / shown.height, 0.9, 2.4).toFixed(4) : "1.6";
}

// --- where it is ------------------------------------------------------------------------------------------------

/** The kernel, as a Preview asks it. */
function kernel(model) {
  return {
    samples: () => model.get("samples"),
    current: () => ({ answer: model.get("answer"), picture: model.get("picture").data }),
    problem: () => model.get("problem"),
    listen: (onAnswer, onProblem) => {
      model.on("change:answer", onAnswer);
      model.on("change:samples", onAnswer);
      model.on("change:problem", onProblem);
    },
    ask: (name) => model.send({ ask: name }),
    upload: async (file) => {
      const bytes = await file.arrayBuffer();
      const parts = Math.max(1, Math.ceil(bytes.byteLength / PIECE));
      for (let part = 0; part < parts; part++) {
        const piece = bytes.slice(part * PIECE, (part + 1) * PIECE);
        model.send({ upload: file.name, part, parts }, undefined, [piece]);
      }
    },
  };
}

/** A preview in the place of each static display of this model, as soon as it is on the page; they come back when the
 * model goes. */
function initialize({ model, signal }) {
  const views = new Map();
  const mount = (anchor) => {
    const still = anchor.closest(".hk-still");
    if (anchor.src !== model.get("anchor") || !still || views.has(still)) return;
    const preview = new Preview(kernel(model));
    views.set(still, preview);
    still.hidden = true;
    still.after(preview.el);
    preview.update();
  };
  const mountIn = (part) => part.querySelectorAll?.("img.hk-anchor").forEach(mount);
  // outputs are drawn off the page and put there later, some only when they are scrolled to
  const arrivals = new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach(mountIn)));
  arrivals.observe(document, { childList: true, subtree: true });
  mountIn(document);
  signal?.addEventListener("abort", () => {
    arrivals.disconnect();
    for (const [still, preview] of views) {
      preview.el.remove();
      still.hidden = false;
    }
  });
}

/** A preview in an output of its own, where an application shows widgets only so. */
function render({ model, el }) {
  el.append(new Preview(kernel(model)).el);
}

/** A saved page: [{answer, picture, before}, ...]. */
export function showPage(el, answers) {
  let chosen = answers[0];
  let told = () => {};
  const preview = new Preview({
    samples: () => answers.map(({ answer }) => answer.sample),
    current: () => chosen,
    problem: () => "",
    listen: (onAnswer) => (told = onAnswer),
    ask: (name) => {
      chosen = answers.find(({ answer }) => answer.sample === name);
      told();
    },
  });
  el.append(preview.el);
  preview.update();
}

export default { initialize, render };
