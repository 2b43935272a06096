/* One answer: its picture, its layers, its boxes. */

import { bytesOf, rgb, textColor } from "./elements.js";
import { Layer, Picture } from "./pixels.js";

const SHEET = 600; // boxes whose labels are made ready

export class Shown {
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
