// Says how many characters are left, from four fifths of the limit on.

const lines = new WeakMap();

export function handle(event, box) {
  const most = Number(box.dataset.max);
  const left = most - [...box.value].length;
  if (left > most / 5 && !lines.has(box)) return;
  const { seen, heard, timer } = lines.get(box) ?? make(box);
  const words = left > most / 5 ? "" : left >= 0 ? `${plural(left)} left` : `${plural(-left)} too many`;
  seen.textContent = words;
  // Read out only after a pause, or every key would be spoken over.
  clearTimeout(timer);
  lines.set(box, { seen, heard, timer: setTimeout(() => { heard.textContent = words; }, 1000) });
}

const plural = (n) => `${n.toLocaleString()} ${n === 1 ? "character" : "characters"}`;

function make(box) {
  const seen = document.createElement("p");
  seen.className = "field__note";
  seen.setAttribute("aria-hidden", "true");
  const heard = document.createElement("p");
  heard.className = "visually-hidden";
  heard.setAttribute("role", "status");
  box.after(seen, heard);
  return { seen, heard };
}
