library(testthat)
library(recallpy)

test_check("recallpy")
