"""A detection in sentences: which calls count, of what, when it fires, what it does then. Pure."""

from __future__ import annotations

from ringfence.detection.definition import Condition, Definition, Measure, Party, Threshold

KEY_WORDS = {
    "source": "caller",
    "destination": "called number",
    "pair": "pair of caller and called number",
    "source_prefix": "range of callers (first {digits} digits)",
    "destination_prefix": "range of called numbers (first {digits} digits)",
    "country": "country",
    "site": "site",
    "device": "device",
    "all": "all calls together",
}
_CLASS_WORDS = {
    "absent": "no number",
    "number": "a number",
    "extension": "an extension",
    "anonymous": "a withheld number",
    "invalid": "no valid number",
    "emergency": "an emergency number",
    "short_code": "a short code",
}
_SHARE_WORDS = {
    "answered": "answered",
    "unanswered": "not answered",
    "terminated": "terminated",
}
_PATTERNS_SHOWN = 5


def sentences(one: Definition) -> list[tuple[str, str]]:
    """(heading, sentence) in the order in which one reads them."""
    found = [
        ("Which calls", _condition_words(one)),
        ("Measured", f"{_measure_words(one.measure)}, for each {_key_words(one)}, in any {_any(one.window_s)}"),
        ("Fires", _threshold_words(one.measure, one.threshold)),
        ("Again", f"after {span_words(one.cool_down_s)} below that, as another attack"),
    ]
    if when := _when(one):
        found.append(("When", when))
    found.append(("Then", _contain_words(one)))
    return found


def span_words(seconds: int) -> str:
    """A length of time in its largest whole unit."""
    for size, word in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0 and seconds >= size:
            count = seconds // size
            return f"{count} {word}{'s' if count > 1 else ''}"
    return f"{seconds} s"


def threshold_value_words(one: Definition, value: float) -> str:
    """A measured value with its unit."""
    match one.measure.kind:
        case "share":
            return f"{value * 100:.0f} %"
        case "duration_total" | "duration_mean":
            return span_words(round(value)) if value >= 60 and round(value) % 60 == 0 else f"{value:,.0f} s"
        case "rate":
            return f"{value:g} a second"
        case _:
            return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _any(seconds: int) -> str:
    """As it stands behind “in any”."""
    return span_words(seconds).removeprefix("1 ")


def _condition_words(one: Definition) -> str:
    condition = one.condition
    calls = "questions to ENUM servers" if one.dataset == "enum" else "calls that probes saw"
    first = f"{_either(condition.direction)} {calls}".strip()
    words = [first[0].upper() + first[1:]]
    words += [f"of type {_either(condition.call_types)}"] if condition.call_types else []
    words += [f"decided as {_either(condition.actions)}"] if condition.actions else []
    words += [f"that ended {_either(condition.results)}"] if condition.results else []
    words += [f"with the trunk as {_either(condition.trunk_side)}"] if condition.trunk_side else []
    words += _party_words("caller", condition.source) + _party_words("called number", condition.destination)
    words += _remaining(condition)
    if one.sites:
        words.append(f"at {_either(one.sites)}")
    return ", ".join(words)


def _remaining(condition: Condition) -> list[str]:
    words = []
    if condition.foreign is not None:
        words.append("with another country" if condition.foreign else "within the country")
    if condition.same_prefix is not None:
        words.append(f"both numbers alike in their first {condition.same_prefix} digits")
    if condition.duration.min_ms is not None:
        words.append(f"lasting {_ms_words(condition.duration.min_ms)} or more")
    if condition.duration.max_ms is not None:
        words.append(f"lasting {_ms_words(condition.duration.max_ms)} at most")
    return words


def _party_words(side: str, party: Party) -> list[str]:
    words = []
    if party.classes:
        words.append(f"the {side} {' or '.join(_CLASS_WORDS[one] for one in party.classes)}")
    if party.own is not None:
        words.append(f"the {side} {'an own number' if party.own else 'not an own number'}")
    if party.patterns:
        words.append(f"the {side} one of {_shown(party.patterns)}")
    if party.except_:
        words.append(f"the {side} none of {_shown(party.except_)}")
    return words


def _measure_words(measure: Measure) -> str:
    side = {"source": "callers", "destination": "called numbers"}.get(measure.of or "", "")
    match measure.kind:
        case "count":
            return "How many there are"
        case "rate":
            return "How many a second"
        case "distinct":
            return f"How many different {side}"
        case "adjacent":
            return f"How many neighbouring {side} in turn"
        case "share":
            what = _SHARE_WORDS.get(measure.of or "", f"answered and {_ms_words(measure.short_ms)} long at most")
            return f"Which share is {what}"
        case "duration_total":
            return "How long they lasted together"
        case "duration_mean":
            return "How long they lasted on average"
        case "concurrency":
            return "How many go on at once"
        case _:
            return "Whether there is none"


def _threshold_words(measure: Measure, threshold: Threshold) -> str:
    words = f"at {_value_words(measure, threshold.value)} or {'less' if threshold.below else 'more'}"
    if measure.kind == "silence":
        words = "when there is none"
    if threshold.at_least > 1:
        usual = "usually are" if measure.kind == "silence" else "are"
        words += f", where there {usual} {threshold.at_least:,} calls or more in that time"
    baseline = threshold.baseline
    if baseline is not None and measure.kind != "silence":
        words += (
            f", and {baseline.factor:g} times what is usual at that hour of the week (mean of {baseline.weeks} weeks)"
        )
    return words


def _value_words(measure: Measure, value: float) -> str:
    if measure.kind == "share":
        return f"{value * 100:g} %"
    return span_words(int(value)) if measure.kind.startswith("duration") else f"{value:,g}"


def _when(one: Definition) -> str:
    if one.schedule_name is not None:
        return f"{'outside' if one.outside_schedule else 'inside'} the schedule {one.schedule_name}"
    if one.schedule is None:
        return ""
    days = "" if len(one.schedule.days) == 7 else f" on {', '.join(one.schedule.days)}"
    return (
        f"{'outside' if one.outside_schedule else ''} {one.schedule.start} to {one.schedule.end}{days}, "
        f"{one.schedule.zone}"
    ).strip()


def _contain_words(one: Definition) -> str:
    contain = one.contain
    alert = f"an alert ({one.severity.value})"
    if contain is None:
        return f"{alert}; it has nothing to contain"
    what = [f"callers on list {contain.sources}"] if contain.sources else []
    what += [f"the called number on list {contain.destinations}"] if contain.destinations else []
    return (
        f"{alert}; where it may contain, {' and '.join(what)} for {span_words(contain.lasts_s)}: at most "
        f"{contain.max_entries} a firing and {contain.max_per_minute} a minute, none that would have met more than "
        f"{contain.max_share * 100:g} % of the site's calls in the hour before"
    )


def _key_words(one: Definition) -> str:
    return KEY_WORDS[one.key].format(digits=one.prefix_digits)


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(word.replace("_", " ") for word in words)


def _shown(patterns: tuple[str, ...]) -> str:
    more = f" and {len(patterns) - _PATTERNS_SHOWN} more" if len(patterns) > _PATTERNS_SHOWN else ""
    return ", ".join(patterns[:_PATTERNS_SHOWN]) + more


def _ms_words(milliseconds: int) -> str:
    return span_words(milliseconds // 1000) if milliseconds % 1000 == 0 else f"{milliseconds} ms"
