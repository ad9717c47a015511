// Turns the server's UTC times into the reader's own: "3 hours ago", "Tue 18:22", "7 May", "7 May 2025".

const minute = 60e3, hour = 60 * minute, day = 24 * hour;
const language = document.documentElement.lang;
const format = (options) => new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, options);
const ago = new Intl.RelativeTimeFormat(language);
const forms = {
  week: format({ weekday: "short", hour: "2-digit", minute: "2-digit" }),
  year: format({ day: "numeric", month: "short" }),
  older: format({ day: "numeric", month: "short", year: "numeric" }),
  full: format({ day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit" }),
};

export function start(times) {
  const show = () => times.forEach((time) => {
    const moment = new Date(time.dateTime);
    time.textContent = time.dataset.time === "full" ? forms.full.format(moment) : relative(moment, new Date());
  });
  show();
  setInterval(() => document.hidden || show(), minute);
}

/** Say a moment as seen from now; a moment to come is said in full. */
export function relative(moment, now) {
  const age = now - moment;
  if (age < -minute) return forms.full.format(moment);
  if (age < minute) return "just now";
  if (age < hour) return ago.format(-Math.floor(age / minute), "minute");
  if (age < day) return ago.format(-Math.floor(age / hour), "hour");
  if (age < 6 * day) return forms.week.format(moment).replace(",", "");
  return (moment.getFullYear() === now.getFullYear() ? forms.year : forms.older).format(moment);
}
