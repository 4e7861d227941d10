"use strict";
for (const player of document.querySelectorAll(".movie")) {
  const frames = JSON.parse(player.querySelector("script").textContent);
  const image = player.querySelector("img");
  const slider = player.querySelector("input");
  const button = player.querySelector("button");
  const counter = player.querySelector("output");
  const interval = Number(player.dataset.interval);
  let timer = null;
  const show = (k) => {
    slider.value = k;
    image.src = frames[k];
    counter.textContent = `${k + 1} / ${frames.length}`;
  };
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => {
    if (timer !== null) { stop(); return; }
    button.textContent = "Pause";
    timer = setInterval(() => show((Number(slider.value) + 1) % frames.length), interval);
  });
  show(0);
}
