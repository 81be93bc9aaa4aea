//! Findings of the checks of texts and media, which the store keeps for the operator.

/// One finding. It stands in the table of audits with the message or the name that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub source: Source,
    pub outcome: Found,
    pub by: By,
    /// WeChat's label of what is wrong, or 0.
    pub label: i32,
    /// WeChat's name for the check, by which the result of a check of media comes; empty where WeChat was not
    /// asked.
    pub trace_id: String,
    /// SHA-256 of what was checked.
    pub hash: [u8; 32],
    /// What was checked, where the operator wants it kept.
    pub text: Option<String>,
}

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Text,
    Nickname,
    Media,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Refused.
    Refused,
    /// Let through, and somebody should look at it.
    Review,
    /// Let through, because it could not be checked.
    Unchecked,
    /// Let through; the result comes later.
    Pending,
}

/// Who found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The operator's own word list.
    Local,
    WeChat,
}
