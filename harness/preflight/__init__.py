"""The free check before every test: does the edited model build, learn for one step, reload and score?"""
