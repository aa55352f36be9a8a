# Read by nbgrader in this folder.
c = get_config() # noqa: F821
c.CourseDirectory.course_id = "selfloop"
c.ClearSolutions.code_stub = {"python": "# your answer in place of the placeholder above"}
c.Execute.timeout = 3600 # seconds a cell: a lab trains, on whatever machine it is graded
