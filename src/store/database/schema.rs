//! The tables as diesel sees them: the same in SQLite and PostgreSQL. What they are for stands in
//! `migrations/`.

diesel::table! {
    conversations (id) {
        id -> BigInt,
        kind -> SmallInt,
        address -> Text,
        created_by -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    members (conversation_id, openid) {
        conversation_id -> BigInt,
        openid -> Text,
        peer -> Nullable<Text>,
        sent_seq -> BigInt,
        read_seq -> BigInt,
        recv_seq -> BigInt,
        cleared_seq -> BigInt,
        uncounted -> BigInt,
        may_have_unread -> Bool,
        changed_at -> BigInt,
        last_at -> BigInt,
        muted -> Bool,
        pinned -> Bool,
    }
}

diesel::table! {
    messages (conversation_id, seq) {
        conversation_id -> BigInt,
        seq -> BigInt,
        sender -> Text,
        client_msg_id -> Nullable<Text>,
        kind -> Text,
        body -> Text,
        sent_at -> BigInt,
        stored_at -> BigInt,
        target_seq -> Nullable<BigInt>,
        recalled -> Bool,
        quote_seq -> Nullable<BigInt>,
    }
}

// Of SQLite alone.
diesel::table! {
    idempotency_keys (conversation_id, hash, seq) {
        conversation_id -> BigInt,
        hash -> BigInt,
        seq -> BigInt,
    }
}

diesel::table! {
    revocations (id) {
        id -> BigInt,
        openid -> Text,
        what -> SmallInt,
        issued_ms -> Nullable<BigInt>,
        at -> BigInt,
        until -> Nullable<BigInt>,
        reason -> Nullable<Text>,
        decided_by -> Nullable<Text>,
    }
}

diesel::table! {
    blocks (openid, blocked) {
        openid -> Text,
        blocked -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    avatars (sha256) {
        sha256 -> Text,
        image -> Binary,
    }
}

diesel::table! {
    profiles (openid) {
        openid -> Text,
        nickname -> Text,
        avatar -> Nullable<Text>,
    }
}

diesel::table! {
    hidden_presence (openid) {
        openid -> Text,
    }
}

diesel::table! {
    seen_users (openid) {
        openid -> Text,
        first_at -> BigInt,
        last_at -> BigInt,
    }
}

diesel::table! {
    audits (id) {
        id -> BigInt,
        at -> BigInt,
        openid -> Text,
        peer -> Nullable<Text>,
        seq -> Nullable<BigInt>,
        source -> SmallInt,
        outcome -> SmallInt,
        found_by -> SmallInt,
        label -> Integer,
        trace_id -> Nullable<Text>,
        hash -> Binary,
        content -> Nullable<Text>,
        decided_at -> Nullable<BigInt>,
        decision -> Nullable<SmallInt>,
        hour -> Nullable<BigInt>,
        times -> BigInt,
    }
}

diesel::joinable!(members -> conversations (conversation_id));
diesel::allow_tables_to_appear_in_same_query!(
    conversations,
    members,
    messages,
    revocations,
    blocks,
    avatars,
    profiles,
    hidden_presence,
    seen_users
);
