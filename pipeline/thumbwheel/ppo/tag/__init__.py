"""PPO for `tag` on logged votes: `votes` tells what they say of each word, `improve` has the objective."""
