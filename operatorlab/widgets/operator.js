// Draws the operator's reasoning, commands and results. Every text is set with textContent.

function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

function result(step) {
  if (!step.head) return make("span", step.status === "running" ? "running …" : `${step.status}, printed nothing`, "faint");
  const details = make("details");
  const gap = step.hidden
    ? `\n… ${step.hidden} lines not shown; \`operatorlab audit show\` has them …\n${step.tail}`
    : "";
  details.append(make("summary", `${step.status} · ${step.first_line}`), make("pre", step.head + gap));
  return details;
}

function line(step) {
  const item = make("li", "", step.kind);
  if (step.kind === "command") {
    if (step.reasoning) item.append(make("span", step.reasoning));
    if (step.text) item.append(make("pre", `$ ${step.text}`));
    item.append(result(step));
  } else {
    item.append(make("b", step.kind), step.text);
  }
  return item;
}

function render({ model, el }) {
  const root = make("section", "", "olab");
  root.setAttribute("aria-label", "the operator at work");
  const brain = make("span");
  const status = make("span", "", "faint");
  status.setAttribute("role", "status");
  const header = make("header");
  header.append(make("strong", "operator"), brain, status);
  const note = make("p", "", "bad");
  note.setAttribute("role", "alert");
  const steps = make("ol", "", "steps");
  root.append(header, note, steps);
  el.replaceChildren(root);

  let drawn = []; // the steps on screen, as JSON: a step is drawn anew only when it changed, so folds stay as they are
  const draw = () => {
    const view = model.get("view");
    brain.textContent = view.brain;
    status.textContent = view.status;
    note.textContent = view.note;
    note.hidden = !view.note;
    const atEnd = steps.scrollTop + steps.clientHeight >= steps.scrollHeight - 8;
    const wanted = view.steps.map((step) => JSON.stringify(step));
    const gone = wanted.length ? Math.max(drawn.indexOf(wanted[0]), 0) : 0;
    for (let i = 0; i < gone; i += 1) steps.firstChild.remove();
    drawn = drawn.slice(gone);
    wanted.forEach((json, i) => {
      if (drawn[i] === json) return;
      const item = line(view.steps[i]);
      if (steps.children[i]) steps.children[i].replaceWith(item);
      else steps.append(item);
    });
    while (steps.children.length > wanted.length) steps.lastChild.remove();
    drawn = wanted;
    if (atEnd) steps.scrollTop = steps.scrollHeight;
  };
  draw();
  model.on("change:view", draw);
  return () => model.off("change:view", draw);
}

export default { render };
