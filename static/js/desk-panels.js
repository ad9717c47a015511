// What asks first: the panels for a reason and for a ban.

/** Return the open panel that an element is in. */
export const panelOf = (element) => element?.closest(".card__ask[open]");

/** Open a panel, with what it is in, and go to where the answer is: Cancel, the chosen reason, or the first field. */
export function open(panel) {
  const more = panel.parentElement.closest("details");
  if (more) more.open = true;
  panel.open = true;
  remember(panel);
  const first = panel.matches(".card__ask") && (panel.querySelector("[data-cancel]") ?? panel.querySelector("[type=radio]:checked"));
  (first || panel.querySelector(":scope > :not(summary) :is([type=radio], button, summary)"))?.focus();
}

/** Choose the reason that was given last; with a form that was sent, keep its reason for the next time. */
export function remember(panel, sent) {
  try {
    const reason = sent && new FormData(sent).get("reason");
    const wanted = panel?.querySelector("[name=reason][type=radio]") && (reason || sessionStorage.getItem("reason"));
    if (!wanted) return;
    if (sent) sessionStorage.setItem("reason", wanted);
    else if (!panel.querySelector("[name=reason]:checked")) panel.querySelector(`[name=reason][value="${CSS.escape(wanted)}"]`).checked = true;
  } catch {
    // nothing is kept on this device, or the reason is not offered any more
  }
}
