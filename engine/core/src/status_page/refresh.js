"use strict";
// Replaces what changes by what a new page has. The keyboard stays where it is.
const MILLIS = 10000, PARTS = ["summary", "content"];
const button = document.getElementById("refresh"), note = document.getElementById("note");
const controls = (part) => [...part.querySelectorAll("a[href], [tabindex]")];
let timer;

function put(page) {
  for (const id of PARTS) {
    const old = document.getElementById(id), next = page.getElementById(id);
    if (!next) throw new Error("not a status page");
    const focused = controls(old).indexOf(document.activeElement);
    old.replaceWith(next);
    if (focused >= 0) controls(next)[focused]?.focus({ preventScroll: true });
  }
  document.title = page.title;
}

async function refresh() {
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(MILLIS) });
    if (!answer.ok) throw new Error("refused");
    const text = await answer.text();
    if (!timer) return;
    put(new DOMParser().parseFromString(text, "text/html"));
    note.textContent = "Refreshes every 10 seconds.";
  } catch {
    if (timer) note.textContent = "The engine does not answer; it is asked again every 10 seconds.";
  }
  if (timer) timer = setTimeout(refresh, MILLIS);
}

function run() {
  timer = setTimeout(refresh, MILLIS);
  note.textContent = "Refreshes every 10 seconds.";
  button.textContent = "Pause refreshing";
}

function pause() {
  clearTimeout(timer);
  timer = undefined;
  note.textContent = "Does not refresh.";
  button.textContent = "Refresh every 10 seconds";
}

button.addEventListener("click", () => (timer ? pause() : run()));
button.hidden = false;
run();
