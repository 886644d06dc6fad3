// Draws the members of a subject. State comes as plain values; every text is set with textContent.

const SVG = "http://www.w3.org/2000/svg";

function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

function stateOf(row) {
  const span = make("span", "", `state ${row.state}`);
  const sign = make("span", row.sign);
  sign.setAttribute("aria-hidden", "true");
  span.append(sign, ` ${row.state.replaceAll("_", " ")}`);
  return span;
}

function table(caption, heads) {
  const whole = make("table");
  const head = whole.createTHead().insertRow();
  for (const name of heads) {
    const cell = make("th", name);
    cell.scope = "col";
    head.append(cell);
  }
  whole.createCaption().textContent = caption;
  whole.append(make("tbody"));
  return whole;
}

function fill(whole, rows, draw) {
  whole.tBodies[0].replaceChildren(...rows.map((row) => {
    const line = make("tr");
    line.append(...draw(row).map((content) => {
      const cell = make("td");
      cell.append(content);
      return cell;
    }));
    return line;
  }));
}

function spark(row) {
  const span = make("span");
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 120 24");
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", `${row.label}: ${row.words}`);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", row.points);
  drawing.append(line);
  span.append(make("span", `${row.label} `, "faint"), drawing, ` ${row.words}`);
  return span;
}

function render({ model, el }) {
  const root = make("section", "", "olab");
  const title = make("strong");
  const verdict = make("span");
  const observed = make("span", "", "faint");
  const header = make("header");
  header.append(title, verdict, observed);
  const note = make("p", "", "bad");
  note.setAttribute("role", "alert");
  const sparks = make("div", "", "sparks");
  const members = table("members", ["member", "state", "why", "facts"]);
  const tickets = table("tickets not yet closed", ["ticket", "state", "component", "what is broken"]);
  root.append(header, note, sparks, members, tickets);
  el.replaceChildren(root);

  const draw = () => {
    const view = model.get("view");
    root.setAttribute("aria-label", `members of ${view.title}`);
    title.textContent = view.title;
    verdict.textContent = view.verdict;
    observed.textContent = view.observed;
    note.textContent = view.note;
    note.hidden = !view.note;
    sparks.replaceChildren(...view.sparks.map(spark));
    fill(members, view.members, (row) => [row.name, stateOf(row), row.reason, make("span", row.facts, "faint")]);
    fill(tickets, view.tickets, (row) => [row.invariant, stateOf(row), row.component, row.message]);
    tickets.hidden = view.tickets.length === 0;
  };
  draw();
  model.on("change:view", draw);
  return () => model.off("change:view", draw);
}

export default { render };
