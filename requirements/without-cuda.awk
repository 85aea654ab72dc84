# Leaves out torch and what only its builds for CUDA need; each requirement is a line and its hashes below it.
/^[a-z0-9]/ { kept = $0 !~ /^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z]+)==/ }
kept
