//! What dialogs do: forks, retries, races, lost and repeated messages.

use crate::cases::Maker;
use crate::script::{Call, Extra, Line, MS, S};

const TAG: Extra<'static> = Extra {
    has_to_tag: true,
    headers: &[],
    has_body: false,
    is_padded: false,
};
const TAG_BODY: Extra<'static> = Extra {
    has_to_tag: true,
    headers: &[],
    has_body: true,
    is_padded: false,
};
const BODY: Extra<'static> = Extra {
    has_to_tag: false,
    headers: &[],
    has_body: true,
    is_padded: false,
};
const BARE: Extra<'static> = Extra {
    has_to_tag: false,
    headers: &[],
    has_body: false,
    is_padded: false,
};

const fn headers(headers: &'static [&'static str]) -> Extra<'static> {
    Extra {
        has_to_tag: true,
        headers,
        has_body: false,
        is_padded: false,
    }
}

fn line(at_ns: i64, is_forward: bool, text: Vec<u8>) -> Line {
    Line {
        at_ns,
        is_forward,
        text,
    }
}

/// From the callee's side.
fn reply(call: &Call, at_ns: i64, status: &str, cseq: &str, extra: Extra<'_>) -> Line {
    line(at_ns, false, call.response(status, cseq, extra))
}

/// From the caller's side.
fn ask(call: &Call, at_ns: i64, method: &str, cseq: u32, extra: Extra<'_>) -> Line {
    line(at_ns, true, call.request(method, cseq, extra))
}

/// The usual lines with others among them, by time.
fn with(call: &Call, mut others: Vec<Line>) -> Vec<Line> {
    let mut lines = call.usual();
    lines.append(&mut others);
    lines.sort_by_key(|line| line.at_ns);
    lines
}

fn first(call: &Call, count: usize, mut others: Vec<Line>) -> Vec<Line> {
    let mut lines = call.usual();
    lines.truncate(count);
    lines.append(&mut others);
    lines
}

/// `from` replaced once by `to`.
fn changed(mut line: Line, from: &str, to: &str) -> Line {
    if let Some(at) = line
        .text
        .windows(from.len())
        .position(|window| window == from.as_bytes())
    {
        line.text.splice(at..at + from.len(), to.bytes());
    }
    line
}

pub fn add(maker: &mut Maker) {
    add_lost(maker);
    add_repeated(maker);
    add_refused(maker);
    add_inside(maker);
    add_branches(maker);
}

fn add_lost(maker: &mut Maker) {
    maker.scripted(
        "no_bye",
        |call| first(call, 5, vec![]),
        |_, truth| truth.end_ns = None,
    );
    maker.scripted(
        "no_answer",
        |call| {
            [0, 500, 1500, 3500]
                .map(|at| Line {
                    at_ns: at * MS,
                    ..call.usual().swap_remove(0)
                })
                .into()
        },
        |_, truth| (truth.status, truth.answer_ns, truth.end_ns) = (0, None, None),
    );
    maker.scripted(
        "missed_invite",
        |call| call.usual().split_off(1),
        |_, truth| truth.start_ns = None,
    );
    maker.scripted(
        "bye_unanswered",
        |call| {
            let bye = call.usual().swap_remove(5);
            let again = [13_500, 14_500].map(|at| Line {
                at_ns: at * MS,
                ..bye.clone()
            });
            first(call, 6, again.into())
        },
        |_, _| {},
    );
    maker.scripted(
        "ack_lost",
        |call| {
            let mut lines = call.usual();
            let answer = lines[3].clone();
            lines.splice(
                4..5,
                [3500, 4500].map(|at| Line {
                    at_ns: at * MS,
                    ..answer.clone()
                }),
            );
            lines
        },
        |_, _| {},
    );
}

fn add_repeated(maker: &mut Maker) {
    for (name, later_ns) in [("all_retransmitted", 100 * MS), ("double_tap", 2_000)] {
        maker.scripted(
            name,
            |call| {
                let twice = |line: Line| {
                    [
                        line.clone(),
                        Line {
                            at_ns: line.at_ns + later_ns,
                            ..line
                        },
                    ]
                };
                call.usual().into_iter().flat_map(twice).collect()
            },
            |_, _| {},
        );
    }
    maker.scripted(
        "time_runs_back",
        |call| {
            let mut lines = call.usual();
            lines[2].at_ns -= 2 * MS;
            lines
        },
        |_, _| {},
    );
}

fn add_refused(maker: &mut Maker) {
    maker.scripted(
        "challenged",
        |call| {
            vec![
                call.usual().swap_remove(0),
                reply(
                    call,
                    5 * MS,
                    "407 Proxy Authentication Required",
                    "1 INVITE",
                    TAG,
                ),
                ask(call, 6 * MS, "ACK", 1, TAG),
                ask(call, 8 * MS, "INVITE", 2, BODY),
                reply(call, 500 * MS, "180 Ringing", "2 INVITE", TAG),
                reply(call, 3 * S, "200 OK", "2 INVITE", TAG_BODY),
                ask(call, 3 * S + 10 * MS, "ACK", 2, TAG),
                ask(call, 13 * S, "BYE", 3, TAG),
                reply(call, 13 * S + 10 * MS, "200 OK", "3 BYE", TAG),
            ]
        },
        |_, _| {},
    );
    maker.scripted(
        "cancelled",
        |call| {
            first(
                call,
                3,
                vec![
                    ask(call, 4 * S, "CANCEL", 1, BARE),
                    reply(call, 4 * S + 5 * MS, "200 OK", "1 CANCEL", TAG),
                    reply(
                        call,
                        4 * S + 10 * MS,
                        "487 Request Terminated",
                        "1 INVITE",
                        TAG,
                    ),
                    ask(call, 4 * S + 20 * MS, "ACK", 1, TAG),
                ],
            )
        },
        |call, truth| {
            (truth.status, truth.answer_ns, truth.end_ns) =
                (487, None, Some(call.start_ns + 4 * S + 10 * MS));
        },
    );
    maker.scripted(
        "cancel_too_late",
        |call| {
            with(
                call,
                vec![
                    ask(call, 3 * S - MS, "CANCEL", 1, BARE),
                    reply(
                        call,
                        3 * S + 5 * MS,
                        "481 Call/Transaction Does Not Exist",
                        "1 CANCEL",
                        TAG,
                    ),
                ],
            )
        },
        |_, _| {},
    );
    let refusals: [(&str, &str, u16, Extra<'static>); 2] = [
        (
            "redirected",
            "302 Moved Temporarily",
            302,
            headers(&["Contact: <sip:elsewhere@203.0.113.99>"]),
        ),
        (
            "busy_with_cause",
            "486 Busy Here",
            486,
            headers(&["Reason: Q.850 ;cause=17 ;text=\"User busy\""]),
        ),
    ];
    for (name, status, code, extra) in refusals {
        maker.scripted(
            name,
            |call| {
                first(
                    call,
                    1,
                    vec![
                        reply(call, 100 * MS, status, "1 INVITE", extra),
                        ask(call, 110 * MS, "ACK", 1, TAG),
                    ],
                )
            },
            |call, truth| {
                (truth.status, truth.answer_ns, truth.end_ns) =
                    (code, None, Some(call.start_ns + 100 * MS));
            },
        );
    }
}

fn add_inside(maker: &mut Maker) {
    maker.scripted(
        "reinvite_refused",
        |call| {
            with(
                call,
                vec![
                    ask(call, 6 * S, "INVITE", 5, TAG_BODY),
                    reply(
                        call,
                        6 * S + 20 * MS,
                        "488 Not Acceptable Here",
                        "5 INVITE",
                        TAG,
                    ),
                    ask(call, 6 * S + 30 * MS, "ACK", 5, TAG),
                ],
            )
        },
        |_, _| {},
    );
    maker.scripted(
        "reinvite_hold",
        |call| {
            with(
                call,
                vec![
                    line(6 * S, false, call.request("INVITE", 77, TAG_BODY)),
                    line(
                        6 * S + 20 * MS,
                        true,
                        call.response("200 OK", "77 INVITE", TAG_BODY),
                    ),
                    line(6 * S + 30 * MS, false, call.request("ACK", 77, TAG)),
                ],
            )
        },
        |_, _| {},
    );
    maker.scripted(
        "prack_update",
        |call| {
            let usual = call.usual();
            let reliable = Extra {
                has_body: true,
                ..headers(&["Require: 100rel", "RSeq: 1"])
            };
            let early = vec![
                reply(call, 500 * MS, "183 Session Progress", "1 INVITE", reliable),
                ask(call, 510 * MS, "PRACK", 2, headers(&["RAck: 1 1 INVITE"])),
                reply(call, 520 * MS, "200 OK", "2 PRACK", TAG),
                ask(call, 600 * MS, "UPDATE", 3, TAG_BODY),
                reply(call, 610 * MS, "200 OK", "3 UPDATE", TAG_BODY),
            ];
            [&usual[..2], &early, &usual[3..]].concat()
        },
        |_, _| {},
    );
    maker.scripted(
        "bye_refused",
        |call| {
            first(
                call,
                6,
                vec![reply(
                    call,
                    13 * S + 20 * MS,
                    "481 Call/Transaction Does Not Exist",
                    "2 BYE",
                    TAG,
                )],
            )
        },
        |_, _| {},
    );
}

fn add_branches(maker: &mut Maker) {
    maker.scripted(
        "forked",
        |call| {
            let other = |line: Line| changed(line, ";tag=callee", ";tag=other");
            with(
                call,
                vec![
                    other(reply(call, 600 * MS, "180 Ringing", "1 INVITE", TAG)),
                    other(reply(call, 2 * S, "486 Busy Here", "1 INVITE", TAG)),
                ],
            )
        },
        |_, _| {},
    );
    // A spiral: the same Call-ID under another From tag is another call.
    maker.scripted(
        "two_from_tags",
        |call| {
            let second = |line: Line| {
                changed(
                    Line {
                        at_ns: line.at_ns + 20 * MS,
                        ..line
                    },
                    ";tag=caller",
                    ";tag=second",
                )
            };
            with(call, call.usual().into_iter().map(second).collect())
        },
        |_, truth| truth.records = 2,
    );
}
