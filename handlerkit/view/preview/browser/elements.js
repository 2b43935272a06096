/* Small things: elements, controls, colors, bytes. */

/** An element: h("button", { class: "hk-x", onclick: f }, "text"). */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
/** A file's name without what would turn the text around it, as handlerkit.formatting.visible. */
export const visible = (text) =>
  text.replace(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
export const rgb = (color) => `rgb(${color.join(",")})`;

/** Black or white, whichever contrasts more with that ground (WCAG 2.2, relative luminance). */
export function textColor(ground) {
  const [red, green, blue] = ground.map((v) => (v <= 10 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}

/** Bytes as a comm message (DataView) or a saved page ({base64}) carries them. */
export function bytesOf(value) {
  if (!value) return new Uint8Array();
  if (value.base64 !== undefined) return Uint8Array.from(atob(value.base64), (letter) => letter.charCodeAt(0));
  return value.buffer ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
}

export function button(text, onclick, props = {}) {
  return h("button", { type: "button", class: "hk-button", onclick, ...props }, text);
}

export function check(input, name) {
  return h("label", { class: "hk-check" }, input, name);
}

/** A slider from 0 to 1, and beside it a field for its value, which is written `times` larger: {el, write, limit}.
 *
 * `above` is shown over the slider, as wide as its way.
 */
export function range(name, { times = 1, digits = 2, unit = "", above = "" }, onInput) {
  const step = 0.01;
  const slider = h("input", { type: "range", min: 0, max: 1, step, "aria-label": name });
  const field = h("input", {
    type: "number", min: 0, max: times, step: step * times, "aria-label": `${name}, as a number`,
  });
  const written = (value) => (value * times).toFixed(digits);
  slider.addEventListener("input", () => {
    field.value = written(+slider.value);
    onInput(+slider.value);
  });
  field.addEventListener("input", () => {
    if (field.value === "") return;
    slider.value = field.value / times;
    onInput(+slider.value);
  });
  field.addEventListener("change", () => (field.value = written(+slider.value)));
  return {
    el: h("div", { class: "hk-range" }, h("span", {}, name), h("span", {}, field, unit), above, slider),
    write: (value) => {
      slider.value = value;
      field.value = written(value);
    },
    limit: (top) => {
      slider.max = top;
      field.max = top * times;
    },
  };
}

export function tabs(pages) {
  const names = Object.keys(pages);
  const buttons = names.map((name) => h("button", { type: "button", role: "tab", class: "hk-tab" }, name));
  const panes = names.map((name) =>
    h("div", { role: "tabpanel", "aria-label": name, class: "hk-pane", tabindex: 0 }, pages[name]));
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
