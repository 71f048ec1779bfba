"""What a person may do to the tower, whichever way he comes by: the command line and the page do it by these.

Each takes the actor and the moment, writes the line of the audit in the transaction of the deed, and raises BadInput
with a sentence for people. `refused` writes down what was not done.
"""
