// The booking form: a group's box ticks its members, and the form says what has been chosen.
const form = document.getElementById("booking");
const members = (level) => [...form.querySelectorAll(`input[name="endpoint"][data-level="${level}"]`)];
const isShown = (box) => !box.closest("[data-search]").hidden;
const groups = [...form.querySelectorAll('input[name="group"]')];
const search = form.querySelector('[data-part="search"]');
const plain = (text) => text.toLowerCase().replaceAll("đ", "d").normalize("NFD").replace(/\p{M}/gu, "");

function recount() {
  const chosen = form.querySelectorAll('input[name="endpoint"]:checked').length;
  const counter = form.querySelector('[data-part="chosen"]');
  counter.textContent = counter.dataset.text.replace("{n}", chosen);
  for (const group of groups) {
    const boxes = members(group.value);
    const ticked = boxes.filter((box) => box.checked).length;
    group.checked = ticked === boxes.length;
    group.indeterminate = ticked > 0 && ticked < boxes.length;
  }
}

function filter() {
  const wanted = plain(search.value.trim());
  for (const row of form.querySelectorAll("[data-search]")) {
    row.hidden = Boolean(wanted) && !plain(row.dataset.search).includes(wanted);
  }
  let shown = 0;
  for (const table of form.querySelectorAll("table.choice")) {
    const rows = table.querySelectorAll("[data-search]:not([hidden])").length;
    table.hidden = rows === 0;
    shown += rows;
  }
  form.querySelector('[data-part="no-match"]').hidden = shown > 0;
}

// Enter in the search chooses the only match; it never sends the form.
function takeOnlyMatch(event) {
  if (event.key !== "Enter") return;
  event.preventDefault();
  const found = [...form.querySelectorAll('input[name="endpoint"]')].filter(isShown);
  if (found.length !== 1) return;
  found[0].checked = true;
  search.value = "";
  filter();
  recount();
}

// Free times are looked for again once the form has been left alone for a moment.
let waiting;
function lookSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(() => form.dispatchEvent(new Event("look")), 400);
}
for (const name of ["start", "minutes", "guest_ports", "lead_minutes", "tail_minutes", "chair", "title"]) {
  form.elements[name]?.addEventListener("input", lookSoon);
}
// A time that is offered goes into the form; without scripts its button loads the form anew.
form.addEventListener("click", (event) => {
  const offer = event.target.closest("[data-use]");
  if (!offer) return;
  event.preventDefault();
  form.elements.start.value = offer.dataset.use;
  form.elements.start.focus(); // the offers are replaced: the keyboard goes on from the time
  lookSoon();
});
form.querySelector('[data-part="look"]').addEventListener("click", (event) => {
  event.preventDefault();
  form.dispatchEvent(new Event("look"));
});

form.addEventListener("change", (event) => {
  const box = event.target;
  lookSoon();
  if (box.name === "group") {
    for (const member of members(box.value).filter(isShown)) member.checked = box.checked;
  }
  if (box.name === "main" && box.value) {
    const member = form.querySelector(`input[name="endpoint"][value="${CSS.escape(box.value)}"]`);
    if (member) member.checked = true;
  }
  recount();
});
// The members' own boxes say it all: a group left ticked would bring back who was taken off.
form.addEventListener("submit", () => {
  for (const group of groups) group.disabled = true;
});
window.addEventListener("pageshow", () => {
  for (const group of groups) group.disabled = false;
  recount(); // back from another page, the browser has ticked again what was ticked
});
search.hidden = false;
search.addEventListener("input", filter);
search.addEventListener("keydown", takeOnlyMatch);
recount();
if (form.querySelector('input[name="endpoint"]:checked')) lookSoon();
