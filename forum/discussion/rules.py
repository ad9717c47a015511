"""The rules of moderation in their fixed order, as they are in force, and what each makes of a comment."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from forum.discussion.comment import Cause
from forum.site.settings import Premoderation, SiteSettings, change_setting, site_settings
from forum.subscriptions.subscription import PAYING
from forum.text.phrases import distinct, find_phrases


@dataclass(frozen=True)
class Number:
    """One number of a rule: what it is called, its bounds, what it is until somebody changes it, what it counts."""

    label: str
    least: int
    most: int
    default: int
    unit: str = ""

    def in_words(self, number: int) -> str:
        """Return the number with what it counts: 1 link, 3 links."""
        return f"{number:,} {self.unit}{'' if number == 1 else 's'}" if self.unit else str(number)


@dataclass(frozen=True)
class Kind:
    """One kind of rule: its sentence with places for its numbers, and what to know about it."""

    code: str
    sentence: str
    hint: str
    cause: Cause | None = None
    numbers: Mapping[str, Number] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)
    """What else it has to be told, such as a list of words, with the defaults."""

    @property
    def defaults(self) -> dict[str, Any]:
        """Return everything that the rule says until somebody changes it."""
        return {name: number.default for name, number in self.numbers.items()} | dict(self.others)


@dataclass(frozen=True)
class Rule:
    """One rule as it is in force, or as somebody tries it."""

    kind: Kind
    is_on: bool
    values: Mapping[str, Any]

    @property
    def sentence(self) -> str:
        """Return the rule with its numbers in it."""
        numbers = self.kind.numbers.items()
        return self.kind.sentence.format(**{name: one.in_words(self.values[name]) for name, one in numbers})

    @property
    def cause(self) -> Cause | None:
        """Return the cause for which it holds comments, None for a rule that holds none."""
        return self.kind.cause


@dataclass(frozen=True)
class Facts:
    """What the rules know of a comment, or of an edit of one, at the moment it is sent."""

    source: str
    links: tuple[str, ...]
    posted_at: datetime
    joined_at: datetime
    accepted_before: int
    subscription: str = ""
    recent: tuple[datetime, ...] = ()
    """When its writer posted before."""
    same_words_at: datetime | None = None
    """When somebody posted the same words last."""
    links_before: frozenset[str] | None = None
    """Of an edit, the links that its words had before; None for a new comment."""


WHO_WRITES = (
    Kind(
        "supporters",
        "Only supporters may comment",
        "On every essay that subscribers may comment on. Who may not is told so, and how to become a supporter.",
    ),
    Kind(
        "domains",
        "Nobody can sign up with an address at these domains",
        "One a line, such as mail.example; what is below a domain counts too. Accounts that are there stay.",
        others={"domains": []},
    ),
    Kind(
        "close-age",
        "Close a discussion {days} after its essay was published",
        "By the date, nothing has to run. A discussion that somebody reopens after that day stays open.",
        numbers={"days": Number("Days", 1, 3_650, 60, "day")},
        others={"note": ""},
    ),
    Kind(
        "close-silent",
        "Close a discussion after {days} without a comment",
        "Counted from the last comment that readers saw, or from the publication.",
        numbers={"days": Number("Days", 1, 3_650, 30, "day")},
        others={"note": ""},
    ),
)
WHAT_WAITS = (
    Kind(
        "everything",
        "Hold every comment",
        "An essay with a policy of its own goes by that.",
        Cause.PREMODERATION,
    ),
    Kind(
        "first",
        "Hold a reader’s comments until they have {comments} posted",
        "An essay with a policy of its own goes by that. Who still waits is also slowed down: see the settings.",
        Cause.NEW_WRITER,
        {"comments": Number("Comments", 0, 50, 2, "comment")},
    ),
    Kind(
        "words",
        "Hold comments with these words or phrases",
        "Whole words; case and accents do not count.",
        Cause.RULE_WORDS,
        others={"words": [], "says": "", "shows": False},
    ),
    Kind(
        "links",
        "Hold comments with {links} or more",
        "Every link counts, also the same one twice.",
        Cause.RULE_LINKS,
        {"links": Number("Links", 1, 100, 3, "link")},
    ),
    Kind(
        "edit-links",
        "Hold edits that add a link",
        "Readers see the new words when you have posted them.",
        Cause.RULE_EDIT_LINKS,
    ),
    Kind(
        "repeat",
        "Hold comments of {characters} or more that say the same as another of the last {days}",
        "Whoever wrote the other, on whichever essay.",
        Cause.RULE_REPEAT,
        {
            "characters": Number("Characters", 2, 10_000, 20, "character"),
            "days": Number("Days", 1, 365, 7, "day"),
        },
    ),
    Kind(
        "fast",
        "Hold what somebody posts beyond {comments} in {minutes}",
        "Over all essays. How many are refused altogether is among the settings.",
        Cause.RULE_FAST,
        {
            "comments": Number("Comments", 1, 100, 3, "comment"),
            "minutes": Number("Minutes", 1, 60, 10, "minute"),
        },
    ),
    Kind(
        "young",
        "Hold comments of accounts that are younger than {days}",
        "",
        Cause.RULE_YOUNG,
        {"days": Number("Days", 1, 365, 3, "day")},
    ),
    Kind(
        "hours",
        "Hold what is posted between {first} and {last} o’clock UTC",
        "Over midnight when the second hour is the smaller one, such as 22 to 6.",
        Cause.RULE_HOURS,
        {"first": Number("From", 0, 23, 0), "last": Number("To", 0, 23, 6)},
    ),
)
WHO_PASSES = (
    Kind(
        "trusted",
        "Let people post without waiting once they have {comments} posted",
        "But for the words above, for people who are held, and where an essay has a policy of its own.",
        numbers={"comments": Number("Comments", 1, 1_000, 10, "comment")},
    ),
)
KINDS = {kind.code: kind for kind in (*WHO_WRITES, *WHAT_WAITS, *WHO_PASSES)}
"""Every kind of rule by its code, in the order in which they are asked and shown."""

ABOUT_WORDS = frozenset({Cause.RULE_WORDS, Cause.RULE_LINKS, Cause.RULE_EDIT_LINKS})
"""The causes that say something about an edit that waits anyway."""

CHIPS = {
    Cause.RULE_WORDS: "Words on your list",
    Cause.RULE_LINKS: "Many links",
    Cause.RULE_EDIT_LINKS: "The edit adds a link",
    Cause.RULE_REPEAT: "Said before",
    Cause.RULE_FAST: "Many comments at once",
    Cause.RULE_YOUNG: "New account",
    Cause.RULE_HOURS: "Posted at a watched hour",
}
WHY_IT_WAITS = {
    Cause.PREMODERATION: "Every comment here is read before it appears.",
    Cause.NEW_WRITER: "A newcomer’s first comments are read before they appear.",
    Cause.RULE_YOUNG: "Comments of new accounts are read before they appear.",
    Cause.RULE_LINKS: "Comments with links are sometimes read before they appear.",
    Cause.RULE_EDIT_LINKS: "Changes with links are sometimes read before they appear.",
}
NO_REASON = "A rule of this site asks for somebody to read it first."
"""Said of the other rules, which would be easy to get round by whoever knew them."""


_LINK = re.compile(r'<a href="([^"]*)"')  # as the sanitiser writes it


def links_in(html: str) -> tuple[str, ...]:
    """Return where the links of a comment's HTML lead, each as often as it is there."""
    return tuple(_LINK.findall(html))


def rules_in_force() -> dict[str, Rule]:
    """Return every rule by its code, in their order, on or off. No query beyond that of the settings."""
    return dict(rules_by(site_settings()))


def rule(code: str) -> Rule:
    """Return one rule as it is in force, on or off."""
    return rules_by(site_settings())[code]


def rules_by(settings: SiteSettings) -> Mapping[str, Rule]:
    """Return what rules_in_force() says where these settings are in force; they are made of them once."""
    if "rules" not in settings.derived:
        settings.derived["rules"] = {code: _in_force(kind, settings) for code, kind in KINDS.items()}
    known: Mapping[str, Rule] = settings.derived["rules"]
    return known


def caught(rule: Rule, facts: Facts) -> bool:
    """Tell whether a rule, on or off, applies to a comment."""
    values = rule.values
    match rule.kind.code:
        case "everything":
            return True
        case "first":
            return facts.accepted_before < int(values["comments"])
        case "words":
            return bool(find_phrases(facts.source, tuple(values["words"])))
        case "links":
            return len(facts.links) >= int(values["links"])
        case "edit-links":
            return facts.links_before is not None and not facts.links_before.issuperset(facts.links)
        case "repeat":
            return _says_the_same(facts, values["characters"], timedelta(days=values["days"]))
        case "fast":
            return _is_fast(facts, values["comments"], timedelta(minutes=values["minutes"]))
        case "young":
            return facts.posted_at - facts.joined_at < timedelta(days=values["days"])
        case "hours":
            return _is_between(facts.posted_at.hour, values["first"], values["last"])
        case "trusted":
            return facts.accepted_before >= int(values["comments"])
        case "supporters":
            return facts.subscription not in PAYING
    return False


def causes_by_rules(
    rules: Mapping[str, Rule], facts: Facts, own_policy: Premoderation | None
) -> frozenset[Cause]:
    """Return why a comment waits by the rules; an essay's own policy goes before the site's, and before trust."""
    is_caught = {code for code, rule in rules.items() if rule.is_on and caught(rule, facts)}
    if "trusted" in is_caught:
        is_caught &= {"words"}
    if own_policy is not None:
        is_caught -= {"everything", "first"}
        if own_policy == Premoderation.ALL:
            is_caught.add("everything")
        elif own_policy == Premoderation.FIRST and caught(rules["first"], facts):
            is_caught.add("first")
    if "everything" in is_caught:
        is_caught.discard("first")
    return frozenset(cause for code in is_caught if (cause := KINDS[code].cause) is not None)


def chip(cause: Cause | str) -> str:
    """Return the few words for which rule held a comment, for the desk; "" for what no rule held."""
    return CHIPS.get(Cause(cause), "")


def why_it_waits(causes: Iterable[str], source: str = "") -> str:
    """Return why a comment waits for its writer, plain, without telling how to get round it; "" for no rule.

    The words on the list are named only where the admin chose so, and the `source` is given.
    """
    given = {Cause(cause) for cause in causes}
    if Cause.RULE_WORDS in given:
        return _why_words(source)
    known = [words for cause, words in WHY_IT_WAITS.items() if cause in given]
    return known[0] if known else NO_REASON if given & set(CHIPS) else ""


def words_matched(source: str) -> list[str]:
    """Return the words and phrases of the list that a text has, as they are written there, each once."""
    listed = rule("words")
    if not listed.is_on:
        return []
    found = find_phrases(source, tuple(listed.values["words"]))
    return distinct(source[start:end] for start, end in found)


def change_rules(changed: Iterable[Rule]) -> None:
    """Store some rules; the caller has validated them and records the change in the audit log."""
    settings = site_settings()
    stored = dict(settings.rules)
    in_force = rules_in_force()
    for one in changed:
        in_force[one.kind.code] = one
        if one.kind.code == "domains":
            change_setting("blocked_domains", list(one.values["domains"]))
        elif one.kind.code != "everything":
            stored[one.kind.code] = {"on": one.is_on, **one.values}
    change_setting("rules", stored)
    change_setting("first_comments_held", in_force["first"].values["comments"])
    change_setting("premoderation", _policy(in_force).value)


def _policy(rules: Mapping[str, Rule]) -> Premoderation:
    if rules["everything"].is_on:
        return Premoderation.ALL
    return Premoderation.FIRST if rules["first"].is_on else Premoderation.NONE


def _in_force(kind: Kind, settings: SiteSettings) -> Rule:
    stored = settings.rules.get(kind.code, {})
    values = kind.defaults | {name: stored[name] for name in kind.defaults if name in stored}
    is_on = bool(stored.get("on"))
    match kind.code:
        case "everything":
            is_on = settings.premoderation == Premoderation.ALL
        case "first":
            values["comments"] = settings.first_comments_held
            # While everything waits nobody can tell, so it is remembered.
            is_remembered = stored.get("on", True) and settings.premoderation == Premoderation.ALL
            is_on = settings.premoderation == Premoderation.FIRST or is_remembered
        case "domains":
            values["domains"] = list(settings.blocked_domains)
            is_on = bool(settings.blocked_domains)
    return Rule(kind, is_on, values)


def _why_words(source: str) -> str:
    listed = rule("words").values
    said = listed["says"] or "Some words are read by somebody before they appear."
    matched = words_matched(source) if listed["shows"] else []
    return f"{said} Here: {', '.join(f'“{words}”' for words in matched)}." if matched else said


def _says_the_same(facts: Facts, least: int, window: timedelta) -> bool:
    if facts.same_words_at is None or len(facts.source) < least:
        return False
    return facts.posted_at - facts.same_words_at < window


def _is_fast(facts: Facts, most: int, window: timedelta) -> bool:
    return sum(facts.posted_at - at < window for at in facts.recent) >= most


def _is_between(hour: int, first: int, last: int) -> bool:
    return first <= hour < last if first <= last else hour >= first or hour < last
