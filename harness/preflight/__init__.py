"""The free check before every test: does the edited model build, learn, reload, score, and see no future?"""
