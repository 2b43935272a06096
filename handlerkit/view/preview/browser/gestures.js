/* What pointers, fingers and keys do to a Stage. */

import { clamp } from "./elements.js";

export const KEYS = "+ and - zoom, 0 shows all, arrows move, . and , step through the boxes";
/** What the canvas can do, for those who have not tried it. */
export const HINT = matchMedia("(pointer: coarse)").matches
  ? "Tap to read values · pinch to zoom · drag to move"
  : "Point to read values · Ctrl + scroll or double-click to zoom · drag to move";
export const STEP = 1.3; // of a zoom by key or button
const STILL = 6; // CSS pixels that a finger moves in a tap

export function listen(stage) {
  pointers(stage);
  keys(stage);
  handle(stage);
}

/** One pointer moves the picture, two zoom it, a tap reads it. The page scrolls with one finger while all of the
 * picture is shown (touch-action, in the style). */
function pointers(stage) {
  const { canvas } = stage;
  const held = new Map(); // pointer: [x, y]
  let way = 0; // that they moved since the first was put down
  const middle = () => {
    const [[x, y], [x2, y2] = [x, y]] = [...held.values()];
    return { clientX: (x + x2) / 2, clientY: (y + y2) / 2, apart: Math.hypot(x2 - x, y2 - y) };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if (!held.size) way = 0;
    held.set(event.pointerId, [event.clientX, event.clientY]);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) return stage.read(event);
    const from = middle();
    held.set(event.pointerId, [event.clientX, event.clientY]);
    const to = middle();
    way += Math.hypot(to.clientX - from.clientX, to.clientY - from.clientY) + Math.abs(to.apart - from.apart);
    if (way < STILL) return;
    stage.leave();
    const ratio = canvas.width / canvas.getBoundingClientRect().width;
    if (from.apart && to.apart) stage.zoom(to.apart / from.apart, ...stage.under(from).canvas);
    stage.move((to.clientX - from.clientX) * ratio, (to.clientY - from.clientY) * ratio);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (held.size === 1 && way < STILL) stage.read(event);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => held.delete(event.pointerId));
  // a finger that is lifted leaves what it tapped to be read
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && stage.leave());
  for (const touch of ["touchstart", "touchmove"]) {
    canvas.addEventListener(touch, (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });
  }
  canvas.addEventListener("dblclick", (event) => stage.zoom(2, ...stage.under(event).canvas));
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    stage.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 6 : 200)), ...stage.under(event).canvas);
  }, { passive: false });
}

function keys(stage) {
  const acts = {
    "+": () => stage.zoom(STEP), "=": () => stage.zoom(STEP), "-": () => stage.zoom(1 / STEP), 0: () => stage.fit(),
    ".": () => stage.step(1), ",": () => stage.step(-1), Escape: () => stage.leave(),
    ArrowLeft: () => stage.move(60, 0), ArrowRight: () => stage.move(-60, 0),
    ArrowUp: () => stage.move(0, 60), ArrowDown: () => stage.move(0, -60),
  };
  stage.canvas.addEventListener("keydown", (event) => {
    if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow") && stage.fits) return; // the page scrolls
    event.preventDefault();
    acts[event.key]();
  });
}

/** The handle between before and after. */
function handle(stage) {
  const { handle } = stage;
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const box = stage.el.getBoundingClientRect();
    stage.slider(clamp((event.clientX - box.left) / box.width, 0, 1));
  });
  handle.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, Home: -1, End: 1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    stage.slider(clamp(stage.sliderAt + by, 0, 1));
  });
}
