"""What the agent's code may reach, read from its syntax tree: a first fence, while isolation is the wall.

scopes, binding, flow, names: what a name stands for. rules, vocabulary: what is refused or warned of. verdicts: these
joined with the task's own lists. agent_code: which statements are the agent's. reader: the walk, with what it finds in
changes, operators, environment, reflection, handing, embedded. judge: the answer for a whole script.
"""
