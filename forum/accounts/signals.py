"""What accounts tells those that come later in the order of folders."""

from blinker import Signal

signed_in: Signal = Signal("a person has signed in, their session is started, nothing is committed yet")
"""Sent with the User and `kept`, the token of a comment they wrote before (or ""). A receiver may return
the address to go to next; otherwise the person goes where they came from."""

words_asked: Signal = Signal("a page or a mail shows what somebody wrote before they signed in")
"""Sent with `kept`, the token of that comment. A receiver returns the words as they were typed, or None."""

renamed: Signal = Signal("a person has another name, nothing is committed yet")
"""Sent with the User; whoever keeps pages that show the name has to notice."""

support_shown: Signal = Signal("a person shows or hides that they are a supporter, nothing is committed yet")
"""Sent with the User; whoever keeps pages with their comments has to notice."""

joined: Signal = Signal("an address was confirmed by who asked to subscribe, nothing is committed yet")
"""Sent with the User, `wishes` (the letters that they ticked: "essays", "replies") and `is_new`: whether the
account was made just now."""
