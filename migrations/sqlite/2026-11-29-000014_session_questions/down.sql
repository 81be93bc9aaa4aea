DROP TABLE session_answers;
DROP TABLE session_questions;
