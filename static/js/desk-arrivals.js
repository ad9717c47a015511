// Asks every minute, while somebody looks, whether more arrived; the list stays as it is until they want it.

const pause = 60e3; // milliseconds

export function watch() {
  setInterval(() => document.hidden || look().catch(() => {}), pause); // the server is away: the next minute asks again
}

async function look() {
  const line = document.querySelector("[data-arrivals]");
  const answer = await fetch(line.dataset.arrivals, { headers: { Accept: "application/json" } });
  const { more } = await answer.json();
  if (!answer.ok || !more || line.dataset.more === `${more}`) return;
  line.dataset.more = more;
  const link = document.createElement("a");
  link.href = document.querySelector("[data-desk]").dataset.desk;
  link.dataset.show = "";
  link.textContent = "Show them";
  document.querySelector("[data-waited]")?.remove(); // it stands in its place
  line.replaceChildren(`${more} more arrived. `, link);
}
