DROP FUNCTION hongyan_generation();
