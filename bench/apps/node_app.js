// Node's own http module. `node node_app.js PORT`. Lengths are given: answers are not chunked.
"use strict";
const fs = require("fs");
const http = require("http");
const path = require("path");

const HELLO = "Hello, World!";
const HTML = "text/html; charset=utf-8";
const TITLE = "Articles";
const name = (n) => "Article " + String((n * 7919) % 10000).padStart(4, "0");
const rows = Array.from({ length: 105 }, (_, n) => [n, name(n)]);
const read = (name) => fs.readFileSync(path.join(process.env.BENCH_RES, name));
const resources = {
  "/static/small.css": ["text/css", read("small.css")],
  "/static/large.js": ["text/javascript", read("large.js")],
};
let number = 0;

function send(res, type, body) {
  res.writeHead(200, { "Content-Type": type, "Content-Length": Buffer.byteLength(body) });
  res.end(body);
}

function page() {
  let text = `<!DOCTYPE html>\n<html><head><title>${TITLE}</title></head><body><table>\n`;
  for (const [n, name] of rows) {
    text += `<tr class="row"><td class="number">${n}</td><td class="name">${name}</td>`
      + "<td>in stock</td></tr>\n";
  }
  return text + `</table><p>${rows.length} rows</p></body></html>\n`;
}

function echo(req, res) {
  const parts = [];
  req.on("data", (part) => parts.push(part));
  req.on("end", () => send(res, "application/octet-stream", Buffer.concat(parts)));
}

function handle(req, res) {
  const [target, query] = req.url.split("?");
  if (target === "/") return send(res, HTML, HELLO);
  if (target === "/json") {
    const message = { message: HELLO, number: 1000 + (number++ % 9000) };
    return send(res, "application/json", JSON.stringify(message));
  }
  if (target.startsWith("/user/")) {
    const q = new URLSearchParams(query).get("q");
    const id = parseInt(target.slice(6), 10);
    return send(res, "text/plain; charset=utf-8", `User ${id} asks for ${q}`);
  }
  if (target === "/echo") return echo(req, res);
  if (target === "/page") return send(res, HTML, page());
  return send(res, ...resources[target]);
}

const server = http.createServer({ keepAliveTimeout: 120000 }, handle);
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
