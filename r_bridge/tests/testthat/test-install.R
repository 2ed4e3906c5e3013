test_that("install_recallpy says what to run and runs nothing", {
  said <- capture.output(lines <- install_recallpy("/my/copy", "my-env"))
  expect_true(all(vapply(lines, function(line) any(grepl(line, said, fixed = TRUE)), logical(1))))
  expect_match(lines[2], "virtualenv_install(\"my-env\", \"/my/copy\")", fixed = TRUE)
  for (line in lines) expect_silent(parse(text = line))
})

test_that("a Python without recall_py is named, with what to run", {
  skip_without_engine()
  testthat::local_mocked_bindings(import = function(...) stop("ModuleNotFoundError: No module named 'recall_py'"),
                                  .package = "reticulate")
  expect_error(FindClustersRecall(kinds_of_cells()), "cannot be loaded from .*python.*install_recallpy\\(\\)")
})
