// Small things for every page; all of them work without it too.
for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = button.dataset.done;
  });
}
for (const select of document.querySelectorAll("select[data-submit]")) {
  select.addEventListener("change", () => select.form.submit());
}
for (const part of document.querySelectorAll("[data-seen]")) {
  // A mail scanner that fetches the page runs no script: only a person has seen it.
  fetch(part.dataset.seen, { method: "POST", headers: { "X-CSRFToken": part.dataset.csrf } });
}
