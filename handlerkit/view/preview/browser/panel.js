/* Beside the canvas: what can be changed of the display, and the request and the response. */

import { button, check, h, range, rgb, tabs } from "./elements.js";

const BINS = 40; // of the scores over the slider

export class Panel {
  constructor(settings, onChange) {
    Object.assign(this, { settings, onChange });
    this.scores = h("div", { class: "hk-scores", "aria-hidden": "true" });
    this.threshold = range("Score from", { above: this.scores }, (threshold) => this.set({ threshold }));
    this.opacity = range("Mask opacity", { times: 100, digits: 0, unit: " %" }, (opacity) => this.set({ opacity }));
    this.threshold.write(settings.threshold);
    this.opacity.write(settings.opacity);
    this.labels = h("input", { type: "checkbox", checked: true, onchange: () => this.set({ labels: this.labels.checked }) });
    this.labeled = check(this.labels, "Labels");
    this.count = h("span", { class: "hk-soft" });
    this.list = h("ul", { class: "hk-classes" });
    const every = (on) => () => {
      for (const { name } of this.shown.answer.classes) settings.switches.set(name, on);
      for (const box of this.list.querySelectorAll("input")) box.checked = on;
      this.set({});
    };
    this.many = h("span", {}, button("all", every(true), { class: "hk-link" }),
      button("none", every(false), { class: "hk-link" }));
    this.classes = h("fieldset", {}, h("legend", {}, "Classes ", this.many), this.count, this.list);
    this.times = h("div");
    this.notes = h("div", { class: "hk-notes" });
    this.log = h("div");
    const controls = h("div", {}, this.threshold.el, this.opacity.el, this.labeled, this.classes, this.notes,
      this.times, this.log);
    this.copy = button("Copy as curl", () => this.copied());
    this.http = h("div");
    this.tabs = tabs({ Look: controls, HTTP: h("div", {}, this.copy, this.http) });
    this.el = h("div", { class: "hk-side" }, this.tabs);
  }

  set(change) {
    Object.assign(this.settings, change);
    this.tell();
    this.onChange(change);
  }

  show(shown, fresh) {
    this.shown = shown;
    const { answer } = shown;
    this.threshold.el.hidden = !shown.scored;
    this.histogram(answer.boxes.map((box) => box[4]).filter((score) => score !== null));
    this.opacity.el.hidden = !shown.layers.length;
    if (fresh) {
      this.settings.opacity = answer.opacity;
      this.opacity.write(answer.opacity);
    }
    this.labeled.hidden = !answer.boxes.length;
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
      return h("section", { "aria-label": name }, h("div", { class: "hk-part" }, name), line(first), body);
    };
    this.http.replaceChildren(
      part("Request", answer.asked, answer.request), part("Response", answer.answered, answer.response));
    this.tell();
  }

  /** The scores as bars over the slider, those that are shown in color. */
  histogram(scores) {
    const top = Math.max(1, ...scores);
    this.threshold.limit(top);
    const counts = new Array(BINS).fill(0);
    for (const score of scores) counts[Math.min(BINS - 1, Math.floor((Math.max(0, score) / top) * BINS))] += 1;
    const most = Math.max(...counts);
    const bars = counts.map((count, i) => (count ? `M${i} 20v${-Math.max(2, (20 * count) / most)}h0.85V20z` : ""));
    const svg = `<svg viewBox="0 0 ${BINS} 20" preserveAspectRatio="none"><path d="${bars.join("")}"/></svg>`;
    this.scores.innerHTML = svg + svg; // the second one is cut off below the threshold
    this.top = top;
  }

  tell() {
    const { count } = this.shown.seen(this.settings);
    const all = this.shown.answer.boxes.length;
    this.count.textContent = all ? `${count} of ${all} shown` : "";
    this.scores.style.setProperty("--hk-from", `${(100 * this.settings.threshold) / this.top}%`);
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
