/* Where a Preview is: in a notebook, through anywidget, or on a saved page. */

import { bytesOf } from "./elements.js";
import { Preview } from "./preview.js";

const PIECE = 4 << 20; // bytes of an upload that go over at a time: servers refuse messages above 10 MB

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
    thumbs: (names) => answered(model, { thumbs: names }),
  };
}

/** The buffers that the kernel answers a message with. */
function answered(model, message) {
  return new Promise((resolve) => {
    const heard = (content, buffers) => {
      if (JSON.stringify(content) !== JSON.stringify(message)) return;
      model.off("msg:custom", heard);
      resolve(buffers);
    };
    model.on("msg:custom", heard);
    model.send(message);
  });
}

/** A preview in the place of each static display of this model, as soon as it is on the page; they come back when the
 * model goes. */
function initialize({ model, signal }) {
  const views = new Map();
  const mount = async (anchor) => {
    const still = anchor.closest(".hk-still");
    if (anchor.src !== model.get("anchor") || !still || views.has(still)) return;
    const preview = new Preview(kernel(model));
    views.set(still, preview);
    preview.el.classList.add("hk-coming"); // until it is drawn the static display stays, which is as high
    still.after(preview.el);
    preview.update();
    await preview.ready;
    still.hidden = true;
    preview.el.classList.remove("hk-coming");
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

/** A saved page: [{answer, picture, before, thumb}, ...]. */
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
    thumbs: (names) => names.map((name) => bytesOf(answers.find(({ answer }) => answer.sample === name).thumb)),
  });
  el.append(preview.el);
  preview.update();
}

export default { initialize, render };
