/* The canvas: what is drawn, where, and what lies under the pointer. */

import { clamp, h, rgb } from "./elements.js";
import { KEYS, listen } from "./gestures.js";

const LABELED = 100; // boxes that get a label; more would hide the picture
const BURIED = 0.2; // of a box that a label may cover
const EDGE = 24; // canvas pixels that stay free around a box that is brought into view

export class Stage {
  /**
   * @param onRead gets what is known of the point or box that is read; "" for nothing
   * @param onMoved is called once the picture was zoomed or moved
   */
  constructor(settings, onRead, onMoved) {
    Object.assign(this, { settings, onRead, onMoved, after: null, before: null, sliderAt: null, marked: -1, asked: 0 });
    this.view = { scale: 1, left: 0, top: 0 };
    this.fits = true; // whether all of the picture is shown
    this.canvas = h("canvas", {
      class: "hk-canvas", tabindex: 0, role: "img", "aria-description": KEYS,
      onfocus: () => this.canvas.matches(":focus-visible") && this.onRead(KEYS),
      onblur: () => this.leave(),
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
    listen(this);
    new ResizeObserver(() => this.resize()).observe(this.el);
  }

  show(shown, before) {
    const alike = this.after?.width === shown.width && this.after?.height === shown.height;
    Object.assign(this, { after: shown, before });
    this.leave(); // what was read belongs to the answer before
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
    this.canvas.classList.remove("hk-zoomed");
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
    this.canvas.classList.add("hk-zoomed");
    this.onMoved();
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

  /** Move until a box of the picture is seen as a whole, or its middle if it is larger than the canvas. */
  reveal(box) {
    if (this.fits) return;
    const [x, y, width, height] = this.corners(box);
    const by = (at, size, room) => {
      if (at >= EDGE && at + size <= room - EDGE) return 0;
      if (size > room - 2 * EDGE) return room / 2 - (at + size / 2);
      return at < EDGE ? EDGE - at : room - EDGE - (at + size);
    };
    this.move(by(x, width, this.canvas.width), by(y, height, this.canvas.height));
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

  /**
   * Each label above its box, else inside, below, at its lower edge or beside it: where none of those before it lies,
   * and where it buries no box (handlerkit/view/draw/labels.py).
   */
  labels(shown, seen) {
    const { ctx, canvas } = this;
    const { high, sheet, places } = shown.labelSheet(this.ratio ?? 1);
    const taken = [];
    const seenOn = ([, x, y, w, h]) => x <= canvas.width && y <= canvas.height && x + w >= 0 && y + h >= 0;
    const corners = (i) => [i, ...this.corners(shown.answer.boxes[i])];
    const things = shown.byScore.filter((i) => seen.boxes[i]).map(corners).filter(seenOn);
    for (const [i, bx, by, bw, bh] of things.slice(0, LABELED)) {
      const { from, wide } = places.get(i) ?? { wide: 0 };
      const beside = [[bx + bw, by], [bx - wide, by]];
      const around = [...[by - high, by, by + bh, by + bh - high].map((at) => [bx, at]), ...beside];
      for (const [left, at] of wide ? around : []) {
        const x = clamp(left, 0, Math.max(0, canvas.width - wide));
        const y = clamp(at, 0, canvas.height - high);
        const free = taken.every(([a, b, c]) => x >= a + c || a >= x + wide || y >= b + high || b >= y + high);
        if (!free || things.some((thing) => share(thing, x, y, wide, high) > BURIED)) continue;
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
      if (layer.packed.smooth) {
        const [low, high] = layer.packed.ends;
        lines.push(`value ${(low + ((high - low) * found.index) / 255).toPrecision(3)}`);
      }
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

  /** Read the point of the picture below a pointer. */
  read(event) {
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

  /** What is switched off is not read any more. */
  refresh() {
    if (this.marked >= 0 && !this.after.seen(this.settings).boxes[this.marked]) this.leave();
    this.redraw();
  }

  /** Read the next box that is seen, line by line as text is; for those who do not use a pointer. */
  step(by) {
    const seen = this.after.seen(this.settings);
    const { boxes } = this.after.answer;
    const order = this.after.bySize.filter((i) => seen.boxes[i])
      .sort((i, j) => boxes[i][1] - boxes[j][1] || boxes[i][0] - boxes[j][0]);
    if (!order.length) return;
    const at = order.indexOf(this.marked);
    const next = order[at < 0 ? (by > 0 ? 0 : order.length - 1) : (at + by + order.length) % order.length];
    this.tip.hidden = true;
    this.mark(next);
    this.reveal(boxes[next]);
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
}

/** How much of a box a rectangle covers. */
function share([, bx, by, bw, bh], x, y, wide, high) {
  const across = Math.min(x + wide, bx + bw) - Math.max(x, bx);
  const down = Math.min(y + high, by + bh) - Math.max(y, by);
  return (Math.max(0, across) * Math.max(0, down)) / Math.max(1, bw * bh);
}
