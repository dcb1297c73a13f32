"""What the agent's code may reach, read from its syntax tree: a first fence, while isolation is the wall.

scopes, names: what a name stands for. rules, vocabulary: what is refused or warned of. verdicts: these joined with the
task's own lists. agent_code: which statements are the agent's. reader: the walk. judge: the answer for a whole script.
"""
