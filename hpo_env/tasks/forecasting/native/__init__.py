"""The walk as a C++ kernel that the machine's own compiler builds."""
