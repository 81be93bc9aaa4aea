DROP TABLE profiles;
DROP TABLE avatars;
