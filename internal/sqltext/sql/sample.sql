select a,
-- include rest
from t -- 213 is a number
