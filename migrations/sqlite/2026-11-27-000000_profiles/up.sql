-- An image stands once, however many show it, under the SHA-256 of its bytes in hexadecimal digits.
CREATE TABLE avatars (
    sha256 TEXT PRIMARY KEY NOT NULL,
    image BLOB NOT NULL
);

-- What users show of themselves; '' and NULL: nothing.
CREATE TABLE profiles (
    openid TEXT PRIMARY KEY NOT NULL,
    nickname TEXT NOT NULL,
    avatar TEXT REFERENCES avatars (sha256)
) WITHOUT ROWID;

-- Whether somebody still shows it.
CREATE INDEX profiles_by_avatar ON profiles (avatar) WHERE avatar IS NOT NULL;
