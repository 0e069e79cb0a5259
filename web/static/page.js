// Loads the page again as soon as the stage of the use has changed.
"use strict";
const shown = document.getElementById("stage");
let pause = 2000;
async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch(shown.dataset.ask, { cache: "no-store" });
      if (answer.ok && (await answer.text()) !== shown.dataset.stage) {
        location.reload();
        return;
      }
    } catch { /* the next look may do better */ }
    pause = Math.min(pause * 1.1, 20000);
  }
  setTimeout(look, pause);
}
if (shown.dataset.ask) setTimeout(look, pause);
