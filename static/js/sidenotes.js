// Lifts each note in the margin to the line that it belongs to, and keeps notes from covering one another.

const space = 16; // pixels between two notes

export function start(notes) {
  const wide = matchMedia("(min-width: 68rem)");
  const place = () => {
    for (const note of notes) note.style.insetBlockStart = "";
    if (!wide.matches) return;
    // All is measured before anything moves, so the page is laid out once.
    const seen = [...notes].map((note) => [note, note.getBoundingClientRect(), lineOf(note)]);
    let floor = -Infinity;
    for (const [note, box, line] of seen) {
      const top = Math.max(Math.min(line, box.top), floor);
      note.style.insetBlockStart = `${top - box.top}px`;
      floor = top + box.height + space;
    }
  };
  wide.addEventListener("change", place);
  new ResizeObserver(place).observe(notes[0].parentElement);
}

/** Return where the line that refers to a note begins, in pixels from the top of the window. */
function lineOf(note) {
  const reference = document.querySelector(`.sidenote-ref[href="#${note.id}"]`);
  return reference ? reference.getBoundingClientRect().top - 4 : Infinity;
}
