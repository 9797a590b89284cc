// The site works without this file: it only keeps the performance page moving, and lets the page
// about JSON send something.

// The server says which text and which shape goes where, so nothing is formatted twice.
const dashboard = document.querySelector("[data-live]");

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(dashboard.dataset.live);
      const { text, shapes } = (await answer.json()).page;
      for (const id in text) document.getElementById(id).textContent = text[id];
      for (const id in shapes) {
        for (const name in shapes[id]) document.getElementById(id).setAttribute(name, shapes[id][name]);
      }
      dashboard.classList.remove("stale");
    } catch {
      dashboard.classList.add("stale");
    }
  }
  setTimeout(refresh, 1000);
}

if (dashboard) refresh();

const form = document.querySelector("[data-url]");

if (form) {
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const output = form.querySelector("output");
    try {
      const answer = await fetch(form.dataset.url, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: form.querySelector("textarea").value,
      });
      output.textContent = `${answer.status} ${answer.statusText}\n${await answer.text()}`;
    } catch (problem) {
      output.textContent = String(problem);
    }
  });
}
