# Read by nbgrader in this folder.
c = get_config() # noqa: F821
c.CourseDirectory.course_id = "selfloop"
c.ClearSolutions.code_stub = {"python": "# your answer in place of the placeholder above"}
