//! Octets → query: what is wrong with the message as such.
use crate::counters::Counter;
use crate::wire::edns::{self, Edns};
use crate::wire::header::{Header, Rcode};
use crate::wire::question::{Question, qtype};

/// A query as far as it could be read.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pub(crate) header: Header,
    pub(crate) question: Option<Question<'a>>,
    pub(crate) edns: Option<Edns<'a>>,
    /// Not `NoError`: answered so, whatever is asked.
    pub(crate) fault: Rcode,
}

/// Reads a message; an error is the counter of the reason not to answer at all.
pub(crate) fn parse(packet: &[u8]) -> Result<Query<'_>, Counter> {
    let header = Header::parse(packet).ok_or(Counter::DroppedMalformed)?;
    // Answering answers makes loops between servers.
    if header.is_response() {
        return Err(Counter::DroppedNotQuery);
    }
    let mut query = Query {
        header,
        question: None,
        edns: None,
        fault: Rcode::FormErr,
    };
    if !header.is_standard_query() {
        query.fault = Rcode::NotImp;
    }
    // More than one question has no meaning (RFC 9619, 4).
    if header.questions != 1 {
        return Ok(query);
    }
    let Ok(question) = Question::parse(packet) else {
        return Ok(query);
    };
    query.question = Some(question);
    let Ok(edns) = edns::find_edns(packet, &header, question.octets.len()) else {
        return Ok(query);
    };
    query.edns = edns;
    if query.fault == Rcode::NotImp {
        return Ok(query);
    }
    query.fault = match edns {
        Some(edns) if edns.version > 0 => Rcode::BadVers,
        _ if question.qtype == qtype::OPT => Rcode::FormErr,
        _ => Rcode::NoError,
    };
    Ok(query)
}
