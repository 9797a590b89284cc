// The site works without this file: it only keeps the pages with figures moving, lets the page about
// JSON send something, and asks for parts of a file.

// The server says which text and which shape goes where, so nothing is formatted twice.
const dashboard = document.querySelector("[data-live]");

async function refresh() {
  if (!document.hidden) {
    try {
      // Without cookies: who only looks at the figures shall not keep a session alive by it.
      const answer = await fetch(dashboard.dataset.live, { credentials: "omit" });
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

// What the browser knows about the page itself: how much came, and how much that was unpacked.
const coded = document.getElementById("coded");
const [page] = performance.getEntriesByType("navigation");

if (coded && page && page.decodedBodySize) {
  const percent = Math.round(100 * page.encodedBodySize / page.decodedBodySize);
  const figures = document.createElement("strong");
  figures.textContent = ` ${page.decodedBodySize.toLocaleString("en")} bytes were written, `
    + `${page.encodedBodySize.toLocaleString("en")} came: ${percent} %.`;
  coded.append(figures);
}

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

const ranges = document.querySelector("[data-ranges]");

if (ranges) {
  ranges.hidden = false;
  ranges.addEventListener("submit", async (event) => {
    event.preventDefault();
    const output = ranges.querySelector("output");
    const range = event.submitter.value;
    try {
      const answer = await fetch(ranges.dataset.ranges, { headers: { Range: range } });
      const lines = [`Range: ${range}`, "", `${answer.status} ${answer.statusText}`];
      for (const name of ["content-range", "content-type", "content-length", "etag"]) {
        const value = answer.headers.get(name);
        if (value) lines.push(`${name}: ${value}`);
      }
      output.textContent = lines.join("\n");
    } catch (problem) {
      output.textContent = String(problem);
    }
  });
}
