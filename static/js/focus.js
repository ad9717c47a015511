// After a load, puts the focus where the answer is: the errors, the comment that the address names, or what just happened.

export function start() {
  const errors = document.querySelector("[data-focus]");
  const say = document.querySelector(".say");
  const target = document.querySelector(":target[tabindex]");
  const place = errors ?? target ?? (say?.childElementCount ? say : null);
  place?.focus();
  // Words that are in the page from the start are not read out; put in anew they are.
  if (place && place !== say && say?.childElementCount) {
    const words = [...say.children];
    say.replaceChildren();
    setTimeout(() => say.replaceChildren(...words), 100);
  }
}

addEventListener("hashchange", () => {
  const target = document.querySelector(":target[tabindex]");
  for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target?.focus();
});
