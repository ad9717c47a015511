"""Names of people: what may be one, and which two look alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forum.text.names import BadName, clean_name, name_key


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("@Westenberg", "@Westenberg"),
        ("  Ada \n Lovelace ", "Ada Lovelace"),
        ("Zoe\u0308", "Zoë"),
        ("Ｗｉｄｅ", "Wide"),
        ("O’Brien-Smith Jr.", "O’Brien-Smith Jr."),
        ("किरण", "किरण"),
        ("علی‌رضا", "علی‌رضا"),  # spelled with a zero-width non-joiner
        ("田中さくら", "田中さくら"),
        ("Nguyễn Thị Hồng", "Nguyễn Thị Hồng"),
        ("ab", "ab"),
        ("x" * 60, "x" * 60),
    ],
)
def test_a_name_may_be(typed: str, kept: str) -> None:
    assert clean_name(typed) == kept


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "at least 2"),
        ("x", "at least 2"),
        (" \u00a0\n", "at least 2"),
        ("x" * 61, "at most 60"),
        ("ﷺ" * 30, "at most 60"),  # one character, eighteen after NFKC
        ("x" * 1_000_000, "at most 60"),
        ("Ad\u200ba", "invisible"),
        ("Ad\u200da", "invisible"),
        ("Ad\u00ada", "invisible"),
        ("\u3164\u3164", "invisible"),
        ("Z\u0335\u0336\u0337algo", "accents"),
        ("@--", "letter or digit"),
        ("★★★", "letter or digit"),
        ("Pаul", "one alphabet"),  # the a is Cyrillic
        ("Νick", "one alphabet"),  # the N is Greek
    ],
)
def test_a_name_may_not_be(typed: str, reason: str) -> None:
    with pytest.raises(BadName, match=reason):
        clean_name(typed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pаypal", "paypal"),  # Cyrillic а
        ("РАУРАL", "paypal"),  # Cyrillic capitals
        ("PAYPAL", "paypal"),
        ("paypaI", "paypal"),  # capital i
        ("paypa1", "paypal"),
        ("Βοb", "Bob"),  # Greek
        ("Оmаr", "0mar"),
        ("@Westenberg", "Westenberg"),
        ("West enberg", "westenberg"),
        ("Westenberg ★", "Westenberg"),
        ("Моdеrаtоr", "rnoderator"),
        ("STRASSE", "straße"),
        ("IŞIK", "ışık"),
        ("İpek", "ipek"),
        ("АННА", "анна"),
    ],
)
def test_names_that_look_alike_have_one_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ada", "Eva"), ("José", "Jose"), ("Reader 2", "Reader 3"), ("анна", "инна"), ("王", "玉")],
)
def test_names_that_differ_have_two_keys(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


@given(st.text(st.characters(exclude_categories=()), max_size=80))
def test_a_clean_name_stays_clean_and_has_a_key(typed: str) -> None:
    try:
        name = clean_name(typed)
    except BadName:
        return
    assert clean_name(name) == name
    assert name_key(name)
    assert name_key(name) == name_key(name.lower())
