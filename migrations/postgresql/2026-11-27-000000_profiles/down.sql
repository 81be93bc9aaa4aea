DROP FUNCTION hongyan_profiles;
DROP TABLE profiles;
DROP TABLE avatars;
