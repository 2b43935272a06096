/* All of it for one host: the kernel, or a page that holds its answers. */

import { bytesOf, button, h, visible } from "./elements.js";
import { HINT, STEP } from "./gestures.js";
import { Panel } from "./panel.js";
import { Shown } from "./shown.js";
import { Stage } from "./stage.js";

const FEW = 6; // small pictures that are asked for at a time
const EMPTY = "Drop or paste a picture here, or upload one.";

export class Preview {
  constructor(host) {
    this.host = host;
    this.settings = { threshold: 0, opacity: 0.5, labels: true, switches: new Map() };
    this.stage = new Stage(this.settings, (text) => (this.read.textContent = text || this.hint), () => (this.hint = ""));
    this.hint = HINT; // in the place of what is read, until the picture was moved
    this.panel = new Panel(this.settings, () => this.stage.refresh());
    this.choice = h("select", { "aria-label": "sample", onchange: () => this.ask(this.choice.value) });
    this.file = h("input", {
      type: "file", class: "hk-hidden", tabindex: -1, "aria-label": "file", onchange: () => this.upload(this.file.files),
    });
    const upload = button("Upload…", () => this.file.click(), { title: "or drop a file here, or paste a picture" });
    this.status = h("div", { class: "hk-status" });
    this.strip = h("div", { class: "hk-strip", role: "group", "aria-label": "samples", hidden: true });
    this.thumbs = new Map(); // of each sample: its button
    this.looked = new Set(); // those whose small pictures are here
    this.said = h("div", { class: "hk-said", role: "status" });
    this.read = h("div", { class: "hk-read", "aria-live": "polite" }, HINT);
    this.sum = h("div", { class: "hk-sum", role: "status" });
    this.compare = button("Before / after", () => this.slide(this.stage.sliderAt === null), { "aria-pressed": "false" });
    const zoom = (text, name, act) => button(text, act, { "aria-label": name, title: name });
    this.zooms = h("div", { class: "hk-zooms" }, this.compare, zoom("−", "zoom out", () => this.stage.zoom(1 / STEP)),
      zoom("Fit", "show all of it", () => this.stage.fit()), zoom("+", "zoom in", () => this.stage.zoom(STEP)));
    this.el = h("div", { class: "hk-view hk-answer hk-preview" },
      h("div", { class: "hk-head" }, this.choice, ...(host.upload ? [upload, this.file] : []), this.status),
      this.strip,
      h("div", { class: "hk-body" },
        h("div", { class: "hk-main" }, this.stage.el, h("div", { class: "hk-foot" }, this.read, this.sum, this.zooms)),
        this.panel.el));
    this.stage.el.append(this.said);
    // JupyterLab's shortcuts (arrow keys move to another cell) spare an element only if it has this itself
    this.el.addEventListener("focusin", ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true"));
    if (host.upload) this.receives();
    // a view that is scrolled out of a notebook is taken off its page, and unpacks nothing until it is back
    new ResizeObserver(() => this.update()).observe(this.el);
    host.listen(() => this.update(), () => this.failed());
    this.ready = new Promise((resolve) => (this.drawn = resolve));
    this.update();
  }

  /** Show what the host has, if it is not shown yet. */
  async update() {
    const { answer, picture, before: held } = this.host.current();
    this.samples(this.host.samples(), answer);
    if (!answer?.number) return this.failed();
    if (this.number === answer.number || !this.el.isConnected) return;
    this.number = answer.number;
    this.el.style.setProperty("--hk-shape", this.el.style.getPropertyValue("--hk-shape") || answer.shape);
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
    this.el.classList.remove("hk-busy");
    this.said.textContent = "";
    this.chosen(answer.sample);
    this.status.innerHTML = answer.status;
    this.sum.textContent = answer.changed || answer.summary;
    this.sum.classList.toggle("hk-changed", Boolean(answer.changed));
    this.zooms.hidden = !shown.isPicture;
    this.read.hidden = !shown.isPicture;
    this.comparable(before);
    this.stage.show(shown, before);
    this.panel.show(shown, fresh);
    this.el.dataset.answer = answer.number;
    this.drawn();
    this.look();
  }

  async opened(answer, picture, same) {
    const shown = await Shown.open(same ? { ...answer, picture: "" } : answer, bytesOf(picture));
    return same ? Object.assign(shown, { answer, picture: same.picture }) : shown;
  }

  // --- samples

  samples(names, answer) {
    if (names.join("\n") !== this.names) {
      this.names = names.join("\n");
      this.choice.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
      this.choice.disabled = !names.length;
      this.strip.replaceChildren(...names.map((name) => this.thumb(name)));
    }
    if (answer?.picture && names.length > 1) this.strip.hidden = false;
    if (answer?.sample && !this.el.classList.contains("hk-busy")) this.chosen(answer.sample);
  }

  /** A sample's button; keys choose samples by their names. */
  thumb(name) {
    if (!this.thumbs.has(name)) {
      this.thumbs.set(name, button(h("span", {}, name), () => this.ask(name), {
        class: "hk-thumb", tabindex: -1, title: name, "aria-label": name, "aria-pressed": "false",
      }));
    }
    return this.thumbs.get(name);
  }

  /** Get the small pictures that are not here yet, once the answer is: few at a time, which keep no answer waiting. */
  async look() {
    if (this.strip.hidden || this.looking) return;
    this.looking = true;
    const next = () => [...this.thumbs.keys()].filter((name) => !this.looked.has(name)).slice(0, FEW);
    for (let names = next(); names.length; names = next()) {
      const pictures = await this.host.thumbs(names);
      names.forEach((name, i) => {
        this.looked.add(name);
        if (!pictures[i].byteLength) return;
        const src = URL.createObjectURL(new Blob([pictures[i]], { type: "image/jpeg" }));
        this.thumbs.get(name).replaceChildren(h("img", { src, alt: "", onload: () => URL.revokeObjectURL(src) }));
      });
    }
    this.looking = false;
  }

  chosen(name) {
    this.choice.value = name;
    for (const [one, thumb] of this.thumbs) thumb.setAttribute("aria-pressed", one === name);
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
    this.said.textContent = problem || EMPTY;
    if (this.shown) this.chosen(this.shown.answer.sample);
    this.drawn();
  }

  // --- before and after

  comparable(before) {
    this.compare.disabled = !before;
    this.compare.textContent = before?.answer.isSent ? "Sent / answered" : "Before / after";
    this.compare.title = before ? "" : "compares with the last answer once the handler is loaded again";
    if (!before) this.slide(false);
  }

  slide(on) {
    this.compare.setAttribute("aria-pressed", on);
    this.stage.slider(on ? 0.5 : null);
  }

  /** Files that are dropped or pasted. */
  receives() {
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
    el.addEventListener("paste", (event) => {
      if (!event.clipboardData?.files.length) return;
      event.preventDefault();
      event.stopPropagation();
      this.upload(event.clipboardData.files);
    });
  }
}
