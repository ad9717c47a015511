"""The moderation desk: what waits, decisions about it, rules, people, and the way back from everything.

the desk      queue (what waits)  cards (what stands beside it)  matched  reports  batch (many at once)  digest
decisions     decisions  deciding (from form to answer)  shaping (pin, pick, close)  moving  merging  redaction  telling
the way back  undo  log  public_log
rules         trial (rules themselves are in discussion/rules.py, where new words meet them)
learning      learning (train and measure)  mirror and second_look (how often one agrees with oneself)
people        standing (who may)  people (the acts)  ban  warning  person (one's whole history)  said (their comments)

Each `…_views.py` holds the addresses of its namesake, each `…_forms.py` what is typed there.
"""
